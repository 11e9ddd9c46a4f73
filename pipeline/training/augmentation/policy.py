"""Settings of augmentation: what the line may do to a picture, and how strongly."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.errors import DataError
from pipeline.plugins import Strict


class Effect(Strict):
    """Base class of all effects but the flip."""

    probability: float = Field(
        0.5, ge=0, le=1, description="Share of images that get this effect, 0 to 1."
    )


class Flip(Strict):
    """Mirror images; only where a mirrored part is still a real part."""

    horizontal: bool = Field(False, description="Swap left and right.")
    vertical: bool = Field(False, description="Swap top and bottom.")


class Rotation(Effect):
    """Rotation of the part."""

    max_deg: float = Field(
        2.0, gt=0, le=180, description="Largest rotation to either side, in degrees."
    )


class Shift(Effect):
    """Displacement of the part."""

    max_fraction: float = Field(
        0.02, gt=0, le=0.5, description="Largest displacement, as a share of the side."
    )


class Illumination(Effect):
    """Uneven illumination, as from a displaced lamp."""

    strength: float = Field(
        0.1, gt=0, le=0.2, description="Largest change of brightness, as a share of full scale."
    )


class Dust(Effect):
    """Specks with soft edges, as on the part or on the cover glass."""

    max_specks: int = Field(6, ge=1, le=200, description="Largest number of specks on one image.")
    max_px: int = Field(4, ge=1, le=64, description="Largest diameter of a speck, in pixels.")
    tone: Literal["dark", "bright", "both"] = Field(
        "dark",
        description="dark: it hides light, as in transmitted or emitted light; bright: it "
        "scatters light, as in dark field.",
    )


class Vibration(Effect):
    """Blur along one direction, as from a part that moves."""

    max_px: int = Field(5, ge=3, le=31, description="Longest motion blur, in pixels (odd).")


class SensorNoise(Effect):
    """Gaussian noise."""

    deviation: float = Field(
        0.02,
        gt=0,
        le=0.5,
        description="Largest standard deviation of the noise, as a share of full scale.",
    )


class Exposure(Effect):
    """A longer or shorter exposure and another gain."""

    brightness: float = Field(
        0.15, ge=0, le=1, description="Largest change of brightness, as a share of full scale."
    )
    contrast: float = Field(0.15, ge=0, le=1, description="Largest relative change of contrast.")


class Jpeg(Effect):
    """Artefacts of a compressing camera."""

    min_quality: int = Field(60, ge=1, le=99, description="Lowest JPEG quality, 1 to 100.")


class Policy(Strict):
    """Effects on a training image, in the order of the path of light; what is left out
    does not happen."""

    flip: Flip | None = Field(None, description="Mirror images; none: off.")
    rotation: Rotation | None = Field(None, description="Rotate; none: off.")
    shift: Shift | None = Field(None, description="Displace; none: off.")
    illumination: Illumination | None = Field(None, description="Uneven light; none: off.")
    dust: Dust | None = Field(None, description="Specks of dust; none: off.")
    vibration: Vibration | None = Field(None, description="Motion blur; none: off.")
    sensor_noise: SensorNoise | None = Field(None, description="Sensor noise; none: off.")
    exposure: Exposure | None = Field(None, description="Brightness and contrast; none: off.")
    jpeg: Jpeg | None = Field(None, description="JPEG compression; none: off.")

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of the effects that do happen, in order."""
        there = []
        for name in type(self).model_fields:
            effect = getattr(self, name)
            idle = isinstance(effect, Flip) and not (effect.horizontal or effect.vertical)
            if effect is not None and not idle and getattr(effect, "probability", 1) > 0:
                there.append(name)
        return tuple(there)

    def only(self, *effects: str) -> Policy:
        """The policy with some of its effects."""
        return Policy.model_validate({effect: getattr(self, effect) for effect in effects})

    @property
    def smallest_detail_px(self) -> int:
        """The size from which on no streak and no speck is larger; 1 where there are none."""
        sized = (self.vibration, self.dust)
        return max([e.max_px for e in sized if e is not None and e.probability > 0], default=1)

    def check_size(self, height_px: int, width_px: int) -> None:
        """Raise DataError for an effect that is as large as the prepared image."""
        side = min(height_px, width_px)
        for name, effect in (("vibration", self.vibration), ("dust", self.dust)):
            if effect is not None and effect.max_px >= side:
                raise DataError(
                    f"policy.{name}.max_px {effect.max_px} in augment.yaml is as large as the "
                    f"prepared image ({width_px}x{height_px} px); give less than {side}, and far "
                    "less to keep defects visible"
                )
