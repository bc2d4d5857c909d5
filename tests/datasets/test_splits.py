from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.datasets.lists.splits import read_groups, split_list
from face_analysis.errors import ListFormatError, UsageError

SHARES = (0.8, 0.1, 0.1)


def people(count: int, seed: int = 0) -> ImageList:
    """Images of people with one to dozens each; some have no subject."""
    rng = np.random.default_rng(seed)
    subjects = [f"s{number}" if number else "" for number in rng.zipf(1.7, count) % 97]
    labels = {
        "race": rng.choice([-1, 0, 1, 4], count, p=[0.05, 0.7, 0.2, 0.05]),
        "gender": rng.integers(0, 2, count),
        "age": rng.integers(0, 101, count),
    }
    return ImageList(
        Path("people.csv"), [f"{row}.jpg" for row in range(count)], labels, {"subject": subjects}
    )


def places(parts: Sequence[ImageList]) -> dict[str, int]:
    return {image: number for number, part in enumerate(parts) for image in part.images}


def rows(listed: ImageList) -> list[tuple[Any, ...]]:
    columns = (*(column.tolist() for column in listed.labels.values()), *listed.strings.values())
    return list(zip(listed.images, *columns, strict=True))


@pytest.mark.parametrize("by", ["image", "subject"])
def test_the_parts_hold_every_row_once_with_its_columns_in_the_order_of_the_list(by: Any) -> None:
    listed = people(500)
    parts = split_list(listed, SHARES, by)
    number = {image: row for row, image in enumerate(listed.images)}
    assert sorted((row for part in parts for row in rows(part)), key=lambda row: number[row[0]]) == rows(
        listed
    )
    for part in parts:
        order = [number[image] for image in part.images]
        assert order == sorted(order)


def test_parts_follow_from_the_seed_alone() -> None:
    listed = people(300)
    first = [part.images for part in split_list(listed, SHARES, "subject", seed=3)]
    assert first == [part.images for part in split_list(listed, SHARES, "subject", seed=3)]
    assert first != [part.images for part in split_list(listed, SHARES, "subject", seed=4)]


def test_images_alone_are_shared_out_to_within_two_of_every_label_and_combination() -> None:
    listed = people(4000)
    parts = split_list(listed, SHARES)
    assert [len(part) for part in parts] == [3200, 400, 400]

    def groups(image_list: ImageList) -> Counter[tuple[Any, ...]]:
        columns = (image_list.labels[name].tolist() for name in ("race", "gender", "age"))
        found: Counter[tuple[Any, ...]] = Counter()
        for race, gender, age in zip(*columns, strict=True):
            band = min(age // 10, 7)
            found.update([("race", race), ("gender", gender), ("age", band), (race, gender, band)])
        return found

    everything = groups(listed)
    for part, share in zip(parts, SHARES, strict=True):
        own = groups(part)
        assert max(abs(own[key] - share * count) for key, count in everything.items()) < 2


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=40, max_size=120),
    st.sampled_from([(0.5, 0.5), (0.8, 0.2), (0.6, 0.3, 0.1)]),
    st.integers(0, 9),
)
def test_a_subject_is_in_one_part_and_no_part_is_over_its_share_by_the_largest(
    subjects: list[int], fractions: tuple[float, ...], seed: int
) -> None:
    images = [f"{row}" for row in range(len(subjects))]
    names = [f"s{number}" if number else "" for number in subjects]
    rng = np.random.default_rng(seed)
    listed = ImageList(Path("x"), images, {"gender": rng.integers(-1, 2, len(images))}, {"subject": names})
    try:
        parts = split_list(listed, fractions, "subject", seed=seed)
    except UsageError as error:
        assert "too few" in str(error)  # noqa: PT017
        return
    homes = defaultdict(set)
    for number, part in enumerate(parts):
        for name in part.strings["subject"]:
            homes[name].add(number)
    assert all(len(found) == 1 for name, found in homes.items() if name)
    largest = max(Counter(name for name in names if name).values(), default=1)
    for part, fraction in zip(parts, fractions, strict=True):
        assert len(part) < fraction * len(images) + largest


def test_groups_subjects_and_equal_paths_tie_rows_over_chains() -> None:
    images = [f"{row}" for row in range(60)]
    subjects = [f"s{row // 2}" for row in range(60)]
    groups = {"1": "g", "2": "g", "3": "h", "20": "h", "elsewhere": "g"}
    listed = ImageList(Path("x"), [*images, "0"], {}, {"subject": [*subjects, ""]})
    for seed in range(20):
        parts = split_list(listed, (0.5, 0.5), "subject", groups, seed=seed)
        assert len({places(parts)[image] for image in ("0", "1", "2", "3", "20", "21")}) == 1
        assert sum(part.images.count("0") == 2 for part in parts) == 1
        alone = places(split_list(listed, (0.5, 0.5), "group", groups, seed=seed))
        assert (alone["1"], alone["3"]) == (alone["2"], alone["20"])


def test_a_class_stands_for_the_subject_and_the_unknown_ones_are_alone() -> None:
    labels = {"class": np.array([3, 3, 3, 5, 5, 5, *[-1] * 40])}
    listed = ImageList(Path("x"), [str(row) for row in range(46)], labels)
    parts = split_list(listed, (0.5, 0.5), "subject")
    assert [len(part) for part in parts] == [23, 23]
    where = places(parts)
    assert len({where[image] for image in "012"}) == len({where[image] for image in "345"}) == 1


def test_a_small_part_gets_large_people_and_small_ones_as_the_list_has_them() -> None:
    subjects = [f"s{size}-{copy}" for size in range(1, 21) for copy in range(30) for _ in range(size)]
    listed = ImageList(Path("x"), [f"{row}" for row in range(len(subjects))], {}, {"subject": subjects})
    small = split_list(listed, (0.9, 0.1), "subject")[1]
    sizes = list(Counter(small.strings["subject"]).values())
    assert sum(sizes) == len(subjects) // 10
    assert np.mean(sizes) == pytest.approx(10.5, rel=0.1)
    assert (min(sizes), max(sizes)) == (1, 20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": (0.5, 0.6)}, "add up to 1"),
        ({"fractions": (1.2, -0.2)}, "positive"),
        ({"by": "group"}, "--groups"),
        ({"groups": {"0.jpg": "a"}}, "--by group"),
        ({"stratify": ("race", "age")}, r"people\.csv: no column age"),
        ({"by": "subject"}, "column `subject` or `class`"),
        ({"fractions": (0.99, 0.01)}, "part 2"),
    ],
)
def test_what_cannot_be_split_so_is_said(options: dict[str, Any], message: str) -> None:
    listed = ImageList(Path("people.csv"), [f"{row}.jpg" for row in range(20)], {"race": np.zeros(20, int)})
    with pytest.raises(UsageError, match=message):
        split_list(listed, **{"fractions": (0.5, 0.5), **options})


def test_groups_are_read_by_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text('kind,group,path\ncopy,1,"a, b.jpg"\ncopy,1,c.jpg\nnear,2,d.jpg\n')
    assert read_groups(path) == {"a, b.jpg": "1", "c.jpg": "1", "d.jpg": "2"}


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("path,set\na,1\n", 1, "no column `group`"),
        ("path,group\na,1\na,2\n", 3, "two groups"),
        ("path,group\na\n", 2, "missing"),
        ("path,group\na,\n", 2, "missing"),
        ('path,group\n"a,1\n', 2, "quotes"),
    ],
)
def test_a_wrong_line_of_groups_is_named(tmp_path: Path, text: str, line: int, reason: str) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(text)
    with pytest.raises(ListFormatError, match=rf"groups\.csv:{line}: .*{reason}"):
        read_groups(path)
