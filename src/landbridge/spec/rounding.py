"""How a provider rounds what it reckons on documents."""

from collections.abc import Sequence

from landbridge.spec._check import among, fact

__all__ = ["Rounding"]


@fact
class Rounding:
    """Where and how amounts and taxes of a document are rounded."""

    per: str
    """Where taxes are: for each `line`, or once for each rate of the `document`."""
    half: str = "up"
    """Where a half goes: `up` (away from zero) or to the `even` neighbour."""
    split: bool = False
    """Whether of a tax that is made of several rates each is rounded by itself."""
    decimals: int | None = None
    """The most decimals that amounts have; None: those of the currency."""
    prices: int | None = None
    """The decimals of unit prices; None: as many as are sent."""
    unsure: Sequence[str] = ()
    """Which of `per`, `half`, `split` and `decimals` the vendor's documentation does not say: each
    reading is taken to be possible then (of the decimals also those of the currency)."""

    def __post_init__(self) -> None:
        """Refuses a word that is none."""
        among(self.per, ["line", "document"], "Rounding, per")
        among(self.half, ["up", "even"], "Rounding, half")
        for word in self.unsure:
            among(word, ["per", "half", "split", "decimals"], "Rounding, unsure")
