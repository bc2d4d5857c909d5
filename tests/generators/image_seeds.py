"""Whole images in every format and kind the decoder reads, to be damaged by `image_mutations`."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pillow_heif
import tifffile
from PIL import Image as Pillow
from PIL import ImageCms

from tests.generators.image_rarities import interlaced_png, old_bmp, run_length_bmp
from tests.generators.portraits import astronaut

ORIENTATION = 0x0112
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def seeds() -> dict[str, list[bytes]]:
    """For each format the encoded images; the same bytes on every call."""
    whole = astronaut()
    sizes = [(512, 512), (123, 97), (64, 200), (17, 9), (1, 1)]
    images = [whole.resize(size, Pillow.Resampling.LANCZOS) for size in sizes]
    return {
        "JPEG": [data for image in images for data in jpegs(image)],
        "PNG": [data for image in images[1:] for data in pngs(image)],
        "WebP": [data for image in images[1:] for data in webps(image)],
        "GIF": [data for image in images[1:] for data in gifs(image)],
        "BMP": [data for image in images[1:] for data in bmps(image)],
        "TIFF": [data for image in images[1:] for data in tiffs(image)],
        "PNM": [data for image in images[1:] for data in pnms(image)],
        "AVIF": [data for image in images[1:] for data in avifs(image)],
        "HEIC": [data for image in images[1:] for data in heics(image)],
    }


def encoded(image: Pillow.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def turned(orientation: int) -> Pillow.Exif:
    exif = Pillow.Exif()
    exif[ORIENTATION] = orientation
    return exif


def film(image: Pillow.Image) -> list[Pillow.Image]:
    return [image.rotate(angle) for angle in (20, 40, 60)]


def jpegs(image: Pillow.Image) -> list[bytes]:
    return [
        encoded(image, "JPEG", quality=85),
        encoded(image, "JPEG", quality=60, progressive=True),
        encoded(image, "JPEG", subsampling=0, exif=turned(6), icc_profile=ICC),
        encoded(image, "JPEG", progressive=True, exif=turned(3), comment=b"a comment"),
        encoded(image, "JPEG", restart_marker_rows=1, optimize=True),
        encoded(image.convert("L"), "JPEG"),
        encoded(image.convert("CMYK"), "JPEG", progressive=True),
        encoded(image.convert("CMYK"), "JPEG", exif=turned(8)),
    ]


def pngs(image: Pillow.Image) -> list[bytes]:
    pixels = np.asarray(image)
    deep = pixels.astype(np.uint16) * 257
    seen = image.copy()
    seen.putalpha(image.convert("L"))
    return [
        encoded(image, "PNG", exif=turned(6), icc_profile=ICC),
        encoded(seen, "PNG"),
        encoded(seen.convert("LA"), "PNG"),
        encoded(image.convert("1"), "PNG"),
        encoded(image.quantize(50), "PNG", transparency=3),
        encoded(image, "PNG", save_all=True, append_images=film(image), duration=50),
        cv2.imencode(".png", deep)[1].tobytes(),
        cv2.imencode(".png", deep[:, :, 0])[1].tobytes(),
        interlaced_png(pixels),
    ]


def webps(image: Pillow.Image) -> list[bytes]:
    seen = image.copy()
    seen.putalpha(image.convert("L"))
    return [
        encoded(image, "WEBP", quality=70),
        encoded(image, "WEBP", lossless=True),
        encoded(seen, "WEBP", quality=70),
        encoded(seen, "WEBP", lossless=True, exact=True, exif=turned(6), icc_profile=ICC),
        encoded(image, "WEBP", exif=turned(8)),
        encoded(image, "WEBP", save_all=True, append_images=film(image), duration=50),
    ]


def gifs(image: Pillow.Image) -> list[bytes]:
    palette = image.quantize(60)
    return [
        encoded(palette, "GIF", interlace=0),
        encoded(image.convert("L"), "GIF", interlace=1, comment=b"a comment"),
        encoded(palette, "GIF", transparency=5),
        encoded(image, "GIF", save_all=True, append_images=film(image), duration=50, loop=0),
        encoded(image.convert("1"), "GIF"),
    ]


def bmps(image: Pillow.Image) -> list[bytes]:
    grey = np.asarray(image.convert("L"))
    return [
        encoded(image, "BMP"),
        encoded(image.convert("RGBA"), "BMP"),
        encoded(image.quantize(60), "BMP"),
        encoded(image.convert("1"), "BMP"),
        run_length_bmp(grey),
        old_bmp(np.asarray(image)),
    ]


def tiffs(image: Pillow.Image) -> list[bytes]:
    pixels = np.asarray(image)
    deep = pixels.astype(np.uint16) * 257
    packings = ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
    files = [encoded(image, "TIFF", compression=packing, exif=turned(6)) for packing in packings]
    options: list[dict[str, object]] = [
        {"tile": (32, 32)},
        {"tile": (64, 32), "byteorder": ">"},
        {"rowsperstrip": 3, "byteorder": ">"},
    ]
    for option in options:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, pixels, photometric="rgb", **option)  # type: ignore[arg-type]
        files.append(buffer.getvalue())
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    return [
        *files,
        buffer.getvalue(),
        encoded(image.convert("1"), "TIFF", compression="group4"),
        encoded(image.convert("CMYK"), "TIFF"),
        encoded(image.quantize(60), "TIFF"),
        cv2.imencode(".tiff", deep)[1].tobytes(),
        cv2.imencode(".tiff", deep[:, :, 0])[1].tobytes(),
    ]


def pnms(image: Pillow.Image) -> list[bytes]:
    grey = np.asarray(image.convert("L"))
    text = "\n".join(" ".join(str(value) for value in row) for row in grey)
    return [
        encoded(image, "PPM"),
        encoded(image.convert("L"), "PPM"),
        encoded(image.convert("1"), "PPM"),
        f"P2\n# a comment\n{grey.shape[1]} {grey.shape[0]}\n255\n{text}\n".encode(),
        cv2.imencode(".ppm", np.asarray(image).astype(np.uint16) * 257)[1].tobytes(),
    ]


def avifs(image: Pillow.Image) -> list[bytes]:
    seen = image.copy()
    seen.putalpha(image.convert("L"))
    return [
        encoded(image, "AVIF", speed=10),
        encoded(image, "AVIF", speed=10, exif=turned(6), icc_profile=ICC, subsampling="4:4:4"),
        encoded(seen, "AVIF", speed=10),
        encoded(image, "AVIF", speed=10, save_all=True, append_images=film(image), duration=50),
    ]


def heics(image: Pillow.Image) -> list[bytes]:
    files = []
    for mode, options in (
        ("RGB", {"exif": turned(6), "icc_profile": ICC}),
        ("L", {}),
        ("RGB", {"quality": 30}),
    ):
        buffer = io.BytesIO()
        pillow_heif.from_pillow(image.convert(mode)).save(buffer, **options)
        files.append(buffer.getvalue())
    return files
