"""Image decoding against numpy and PIL, and against cv_bridge where ROS is installed."""

from __future__ import annotations

import array
import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from camera_perception.core.errors import BadImage
from camera_perception.image.compressed import decode_compressed, lost_colours
from camera_perception.image.compressed_size import compressed_size
from camera_perception.image.encodings import ENCODINGS, decode_image

RNG = np.random.default_rng(7)
H, W = 48, 64


def smooth_bgr(height=H, width=W):
    """A picture with slow colours, so that chroma subsampling and Bayer interpolation lose little."""
    v, u = np.mgrid[:height, :width]
    return np.dstack((40 + u * 2, 60 + v * 3, 120 + u + v)).clip(0, 255).astype(np.uint8)


def padded(rows, step):
    """Rows of bytes (R, N) with padding that must not be read."""
    out = np.full((len(rows), step), 0xEE, np.uint8)
    out[:, : rows.shape[1]] = rows
    return out.tobytes()


def yuv_from_bgr(bgr):
    """BT.601 limited range, float, from the standard's coefficients."""
    b, g, r = np.moveaxis(bgr.astype(float), -1, 0)
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    return [np.round(plane).astype(np.uint8) for plane in (y, u, v)]


def pack(encoding, bgr):
    """Rows of bytes that a driver would send for this picture."""
    grey = bgr[:, :, 1]
    y, u, v = yuv_from_bgr(bgr)
    half = u[::2, ::2], v[::2, ::2]
    alpha = np.full_like(grey, 77)
    match encoding:
        case "bgr8" | "8UC3":
            return bgr.reshape(len(bgr), -1)
        case "rgb8":
            return bgr[:, :, ::-1].reshape(len(bgr), -1)
        case "bgra8" | "8UC4":
            return np.dstack((bgr, alpha)).reshape(len(bgr), -1)
        case "rgba8":
            return np.dstack((bgr[:, :, ::-1], alpha)).reshape(len(bgr), -1)
        case "mono8" | "8UC1":
            return grey
        case "yuv422" | "uyvy":
            rows = np.empty((len(bgr), bgr.shape[1] * 2), np.uint8)
            rows[:, 0::4], rows[:, 2::4], rows[:, 1::2] = u[:, ::2], v[:, ::2], y
            return rows
        case "yuv422_yuy2" | "yuyv":
            rows = np.empty((len(bgr), bgr.shape[1] * 2), np.uint8)
            rows[:, 1::4], rows[:, 3::4], rows[:, 0::2] = u[:, ::2], v[:, ::2], y
            return rows
        case "nv12":
            return np.concatenate((y, np.dstack(half).reshape(len(bgr) // 2, -1)))
        case "nv24":
            return np.concatenate((y, np.dstack((u, v)).reshape(-1, bgr.shape[1])))
        case "i420" | "yuv420":
            return np.concatenate((y, *(plane.reshape(-1, bgr.shape[1]) for plane in half)))
        case "nv21":
            return np.concatenate((y, np.dstack(half[::-1]).reshape(len(bgr) // 2, -1)))
    if encoding.startswith("bayer"):
        return mosaic(encoding[6:10], bgr)
    raise KeyError(encoding)


def mosaic(pattern, bgr):
    out = np.empty(bgr.shape[:2], bgr.dtype)
    for at, letter in enumerate(pattern):
        rows, columns = slice(at // 2, None, 2), slice(at % 2, None, 2)
        out[rows, columns] = bgr[rows, columns, "bgr".index(letter)]
    return out


EXACT = ["bgr8", "rgb8", "bgra8", "rgba8", "8UC3", "8UC4"]
SUBSAMPLED = {"yuv422": 4, "uyvy": 4, "yuv422_yuy2": 4, "yuyv": 4, "nv12": 5, "nv21": 5}
PLANES = {"nv24": (2, 3), "i420": (0.5, 5), "yuv420": (0.5, 5)}  # length of a row of chroma in rows of luma; tolerance
BAYER = [name for name in ENCODINGS if name.startswith("bayer") and name.endswith("8")]
WIDE = [
    "bgr16",
    "rgb16",
    "bgra16",
    "rgba16",
    "16UC3",
    "16UC4",
    *(name for name in ENCODINGS if name.startswith("bayer") and name.endswith("16")),
]
PADDING = pytest.mark.parametrize("padding", [0, 1, 24])


def test_every_encoding_is_tested_here():
    assert {*EXACT, *SUBSAMPLED, *BAYER, *PLANES, *WIDE, "mono8", "8UC1", "mono16", "16UC1"} == set(ENCODINGS)


@PADDING
@pytest.mark.parametrize("encoding", EXACT)
def test_colour_orders_are_exact(encoding, padding):
    bgr = RNG.integers(0, 256, (H, W, 3), np.uint8)
    rows = pack(encoding, bgr)
    step = rows.shape[1] + padding
    np.testing.assert_array_equal(decode_image(encoding, H, W, step, False, padded(rows, step)), bgr)


@PADDING
@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_is_grey_in_all_channels(encoding, padding):
    grey = RNG.integers(0, 256, (H, W), np.uint8)
    image = decode_image(encoding, H, W, W + padding, False, padded(grey, W + padding))
    np.testing.assert_array_equal(image, np.repeat(grey[:, :, None], 3, axis=2))


@PADDING
@pytest.mark.parametrize("encoding", SUBSAMPLED)
def test_yuv_decodes_to_the_image_it_was_encoded_from(encoding, padding):
    bgr = smooth_bgr()
    rows = pack(encoding, bgr)
    step = rows.shape[1] + padding
    image = decode_image(encoding, H, W, step, False, padded(rows, step))
    assert np.abs(image.astype(int) - bgr).max() <= SUBSAMPLED[encoding]


@pytest.mark.parametrize("padding", [0, 2, 24])
@pytest.mark.parametrize("encoding", PLANES)
def test_chroma_planes_have_padding_of_their_own(encoding, padding):
    bgr, (factor, tolerance) = smooth_bgr(), PLANES[encoding]
    rows = pack(encoding, bgr)
    light, chroma = rows[:H], rows[H:].reshape(-1, int(W * factor))
    data = padded(light, W + padding) + padded(chroma, int((W + padding) * factor))
    image = decode_image(encoding, H, W, W + padding, False, data)
    assert np.abs(image.astype(int) - bgr).max() <= tolerance


@pytest.mark.parametrize("name", ["BGR8", "Mono8", "YUYV", "8uc1", " NV12", "BAYER_RGGB8", "16uc1"])
def test_names_may_be_in_upper_or_lower_case(name):
    data = RNG.integers(0, 256, 48 * 48 * 4, np.uint8).tobytes()
    known = next(each for each in ENCODINGS if each.lower() == name.strip().lower())
    images = [decode_image(each, 48, 48, 48 * 4, False, data * 2) for each in (name, known)]
    np.testing.assert_array_equal(*images)


@PADDING
@pytest.mark.parametrize("encoding", BAYER)
def test_bayer_patterns_start_where_their_name_says(encoding, padding):
    bgr = smooth_bgr()
    rows = mosaic(encoding[6:10], bgr)
    image = decode_image(encoding, H, W, W + padding, False, padded(rows, W + padding))
    assert np.abs(image.astype(int) - bgr)[2:-2, 2:-2].max() <= 2


@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 3])
def test_16_bit_grey_in_both_byte_orders(big, padding, encoding):
    values = RNG.integers(0, 65536, (H, W), np.uint16)
    rows = values.astype(">u2" if big else "<u2").view(np.uint8)
    image = decode_image(encoding, H, W, 2 * W + padding, big, padded(rows, 2 * W + padding))
    np.testing.assert_array_equal(image[:, :, 1], np.rint(values * (255 / 65535)).astype(np.uint8))


@pytest.mark.parametrize("encoding", WIDE)
def test_16_bit_colour_decodes_to_the_8_bit_image(encoding):
    bgr = smooth_bgr().astype(np.uint16) * 257
    alpha = np.full((H, W, 1), 999, np.uint16)
    ordered = {
        "bgr16": bgr,
        "16UC3": bgr,
        "rgb16": bgr[:, :, ::-1],
        "bgra16": np.dstack((bgr, alpha)),
        "16UC4": np.dstack((bgr, alpha)),
        "rgba16": np.dstack((bgr[:, :, ::-1], alpha)),
    }.get(encoding)
    rows = mosaic(encoding[6:10], bgr) if ordered is None else ordered.reshape(H, -1)
    image = decode_image(encoding, H, W, rows.shape[1] * 2, False, np.ascontiguousarray(rows).astype("<u2").tobytes())
    assert np.abs(image.astype(int) - smooth_bgr())[2:-2, 2:-2].max() <= 2


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda raw: array.array("B", raw)])
def test_bgr8_is_a_view_into_the_message(kind):
    data = kind(RNG.integers(0, 256, H * W * 3, np.uint8).tobytes())
    image = decode_image("bgr8", H, W, W * 3, False, data)
    assert np.shares_memory(image, np.frombuffer(data, np.uint8))


def test_the_last_row_may_lack_its_padding():
    grey = RNG.integers(0, 256, (H, W), np.uint8)
    data = padded(grey, W + 8)[:-8]
    np.testing.assert_array_equal(decode_image("mono8", H, W, W + 8, False, data)[:, :, 0], grey)


@pytest.mark.parametrize(
    ("encoding", "height", "width", "step", "size", "says"),
    [
        ("jpeg2000", 4, 4, 4, 16, "bgr8, rgb8"),
        ("", 4, 4, 4, 16, "unknown"),
        ("bgr8", 4, 4, 12, 0, "truncated"),
        ("bgr8", 4, 4, 12, 47, "truncated"),
        ("bgr8", 4, 4, 11, 48, "at least 12"),
        ("bgr8", 4, 4, 0, 48, "step 0"),
        ("bgr8", 4, 4, 16, 48, "truncated"),
        ("bgr8", 0, 4, 12, 48, "0"),
        ("bgr8", 4, 0, 12, 48, "0"),
        ("nv12", 5, 4, 4, 64, "multiple of 2"),
        ("yuv422", 4, 5, 10, 64, "multiple of 2"),
        ("nv12", 4, 4, 4, 16, "truncated"),
        ("bayer_rggb8", 2, 2, 2, 4, "at least 3x3"),
        ("i420", 4, 4, 5, 64, "even step"),
        ("i420", 4, 4, 4, 23, "truncated"),
        ("nv24", 4, 4, 4, 47, "truncated"),
    ],
)
def test_bad_messages_raise_a_clear_error(encoding, height, width, step, size, says):
    with pytest.raises(BadImage, match=says):
        decode_image(encoding, height, width, step, False, bytes(size))


def test_only_unknown_encodings_use_the_fallback():
    other = np.zeros((1, 1, 3), np.uint8)
    assert decode_image("16SC1", 1, 1, 2, False, b"ab", fallback=lambda *_: other) is other
    assert decode_image("mono8", 1, 1, 1, False, b"a", fallback=lambda *_: other) is not other


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if "UC" not in name and name not in ("nv12", *PLANES)])
def test_pixels_match_cv_bridge(encoding):
    cv_bridge = pytest.importorskip("cv_bridge", reason="cv_bridge comes with a ROS installation only")
    messages = pytest.importorskip("sensor_msgs.msg")
    layout = ENCODINGS[encoding]
    step = W * layout.channels * np.dtype(layout.dtype).itemsize
    data = RNG.integers(0, 256, step * H * layout.rows[0] // layout.rows[1], np.uint8).tobytes()
    message = messages.Image(height=H, width=W, encoding=encoding, step=step, data=array.array("B", data))
    try:
        expected = cv_bridge.CvBridge().imgmsg_to_cv2(message, "bgr8")
    except cv_bridge.CvBridgeError as error:
        pytest.skip(f"this cv_bridge does not know {encoding}: {error}")
    np.testing.assert_array_equal(decode_image(encoding, H, W, step, False, data), expected)


def file_of(image_format, bgr, **options):
    stream = io.BytesIO()
    Image.fromarray(bgr[:, :, ::-1]).save(stream, image_format, **options)
    return stream.getvalue()


def test_png_is_exact():
    bgr = RNG.integers(0, 256, (H, W, 3), np.uint8)
    np.testing.assert_array_equal(decode_compressed(file_of("PNG", bgr), "bgr8; png compressed bgr8"), bgr)


@pytest.mark.parametrize(
    "options", [{"quality": 95}, {"quality": 95, "progressive": True}], ids=["baseline", "progressive"]
)
def test_jpeg_matches_pil(options):
    data = file_of("JPEG", smooth_bgr(), **options)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[:, :, ::-1]
    assert np.abs(decode_compressed(array.array("B", data), "jpeg").astype(int) - expected).max() <= 3


def test_grey_jpeg_becomes_bgr():
    data = cv2.imencode(".jpg", smooth_bgr()[:, :, 0])[1].tobytes()
    assert decode_compressed(data, "mono8; jpeg compressed mono8").shape == (H, W, 3)


def test_jpeg_may_be_followed_by_padding_and_hold_a_thumbnail_with_its_own_end():
    exif = Image.Exif()
    thumbnail = file_of("JPEG", smooth_bgr(16, 16))
    data = file_of("JPEG", smooth_bgr(), quality=90, exif=b"Exif\0\0" + exif.tobytes() + thumbnail)
    assert decode_compressed(data + bytes(64), "jpeg").shape == (H, W, 3)
    for part in (0.97, 0.9, 0.6):
        with pytest.raises(BadImage):
            decode_compressed(data[: int(len(data) * part)], "jpeg")


def test_exif_orientation_is_ignored():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    assert decode_compressed(file_of("JPEG", smooth_bgr(), exif=exif), "jpeg").shape == (H, W, 3)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.5, 0.9, 0.99])
def test_truncated_files_are_refused_not_half_grey(image_format, part):
    data = file_of(image_format, RNG.integers(0, 256, (H, W, 3), np.uint8))
    with pytest.raises(BadImage):
        decode_compressed(data[: int(len(data) * part)], image_format)


def test_corrupt_png_and_jpeg_header_are_refused():
    png, jpeg = (bytearray(file_of(kind, smooth_bgr())) for kind in ("PNG", "JPEG"))
    png[len(png) // 2] ^= 0xFF
    jpeg[2:40] = bytes(38)
    for data in (png, jpeg):
        with pytest.raises(BadImage, match="corrupt|decoded"):
            decode_compressed(bytes(data), "")


@pytest.mark.parametrize(("data", "says"), [(b"", "empty"), (b"GIF89a....", "neither"), (b"\xff\xd8", "end marker")])
def test_other_data_is_refused(data, says):
    with pytest.raises(BadImage, match=says):
        decode_compressed(data, "16UC1; compressedDepth")


# What image_transport and drivers compress


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("encoding", BAYER)
def test_the_mosaic_of_a_bayer_camera_gets_its_colours(encoding, suffix):
    bgr = smooth_bgr()
    data = cv2.imencode(f".{suffix}", mosaic(encoding[6:10], bgr), [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    image = decode_compressed(data, f"{encoding}; {suffix} compressed ")
    assert np.abs(image.astype(int) - bgr)[2:-2, 2:-2].max() <= {"png": 2, "jpg": 8}[suffix]


def test_bayer_images_that_have_their_colours_already_and_grey_ones_stay_as_they_are():
    bgr = smooth_bgr()
    np.testing.assert_array_equal(decode_compressed(file_of("PNG", bgr), "bayer_rggb8; png compressed bgr8"), bgr)
    grey = decode_compressed(cv2.imencode(".png", bgr[:, :, 1])[1].tobytes(), "mono8; png compressed mono8")
    np.testing.assert_array_equal(grey, np.repeat(bgr[:, :, 1:2], 3, axis=2))


@pytest.mark.parametrize(
    ("format", "lost"),
    [
        ("yuv422_yuy2; jpeg compressed mono8", True),
        ("YUYV; png compressed mono8", True),
        ("yuv422; jpeg compressed bgr8", False),
        ("mono8; jpeg compressed mono8", False),
        ("jpeg", False),
        ("", False),
    ],
)
def test_lost_colours_are_told_from_the_format(format, lost):
    assert ("cannot be recovered" in lost_colours(format)) == lost


def test_16_bit_png_keeps_its_depth_until_it_is_narrowed():
    values = RNG.integers(0, 65536, (H, W), np.uint16)
    data = cv2.imencode(".png", values)[1].tobytes()
    image = decode_compressed(data, "mono16; png compressed mono16", narrow=lambda wide: (wide & 0xFF).astype(np.uint8))
    np.testing.assert_array_equal(image[:, :, 0], values & 0xFF)
    assert decode_compressed(data, "mono16; png").dtype == np.uint8


OTHER_KINDS = {
    "lossy": ("WEBP", {"quality": 90}),
    "lossless": ("WEBP", {"lossless": True}),
    "extended": ("WEBP", {"quality": 90, "exif": b"Exif\0\0" + Image.Exif().tobytes()}),
    "tiff": ("TIFF", {}),
    "deflated": ("TIFF", {"compression": "tiff_deflate"}),
    "bmp": ("BMP", {}),
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_webp_tiff_and_bmp_are_decoded_and_refused_when_cut_off(kind, monkeypatch):
    bgr, (image_format, options) = smooth_bgr(), OTHER_KINDS[kind]
    data = file_of(image_format, bgr, **options)
    assert compressed_size(data) == (W, H)
    image = decode_compressed(data, kind)
    assert np.abs(image.astype(int) - bgr).max() <= (16 if options.get("quality") else 0)
    for part in (0.05, 0.5, 0.95):
        with pytest.raises(BadImage):
            decode_compressed(data[: int(len(data) * part)], kind)
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(BadImage, match="exceeds the limit"):
        decode_compressed(data, kind, max_pixels=100)


@pytest.mark.parametrize("options", [{"quality": 90}, {"quality": 90, "progressive": True}, {"restart_marker_rows": 1}])
def test_a_jpeg_without_end_marker_is_complete_if_no_pixel_is_missing(options, capfd):
    bgr = RNG.integers(0, 256, (H, W, 3), np.uint8)
    data = file_of("JPEG", bgr, **options)
    np.testing.assert_array_equal(decode_compressed(data[:-2], "jpeg"), decode_compressed(data, "jpeg"))
    for cut in (60, 300, len(data) // 2):
        with pytest.raises(BadImage, match="truncated"):
            decode_compressed(data[:-cut], "jpeg")
    assert not capfd.readouterr().err


def test_no_cut_of_a_jpeg_passes_for_its_end():
    rng = np.random.default_rng(0)
    for _ in range(4):
        data = file_of("JPEG", rng.integers(0, 256, (H, W, 3), np.uint8), quality=90)
        for cut in range(8, len(data) // 4, 5):
            with pytest.raises(BadImage, match="truncated"):
                decode_compressed(data[:-cut], "jpeg")


# Size limits


def bomb(image_format: str) -> bytes:
    """A complete file of a few bytes whose header declares 30000x30000 pixels."""
    raw = bytearray(file_of(image_format, smooth_bgr()))
    if image_format == "PNG":
        raw[16:24] = struct.pack(">II", 30000, 30000)
        raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    else:
        at = raw.index(b"\xff\xc0")
        raw[at + 5 : at + 9] = struct.pack(">HH", 30000, 30000)
    return bytes(raw)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_an_image_bomb_is_refused_before_it_is_decoded(image_format, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(BadImage, match="30000x30000 exceeds the limit of 64 megapixels.*max_megapixels"):
        decode_compressed(bomb(image_format))


def test_the_limit_counts_for_raw_images_and_fallbacks_too():
    for encoding in ("mono8", "unheard"):
        with pytest.raises(BadImage, match="9x8 exceeds"):
            decode_image(encoding, 8, 9, 9, False, bytes(72), fallback=lambda *_: pytest.fail("called"), max_pixels=71)
    assert decode_image("mono8", 8, 9, 9, False, bytes(72), max_pixels=72).shape == (8, 9, 3)


LARGER_THUMBNAIL = b"Exif\0\0" + b"\xff\xc0\0\x11\x08\xff\xff\xff\xff"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": LARGER_THUMBNAIL}])
def test_the_size_in_the_header_is_that_of_the_image(options):
    assert compressed_size(file_of("JPEG", smooth_bgr(), **options)) == (W, H)
    assert compressed_size(file_of("PNG", smooth_bgr())) == (W, H)


def test_a_header_without_size_is_refused():
    with pytest.raises(BadImage, match="no size in its header"):
        decode_compressed(b"\xff\xd8\xff\xda\0\x02\xff\xd9")
