"""`plan simulate FILE`: the planned models of a file, each on a day whose busiest moment is its stated rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fairlead.cli.simulate_command import Limits, Question, floor, posed
from fairlead.errors import UserError
from fairlead.spec.load import load, read
from fairlead.spec.locate import located
from fairlead.spec.problems import nearest

if TYPE_CHECKING:
    from fairlead.plan.autoscale.demand import Trace
    from fairlead.plan.search import Choice


@dataclass(frozen=True, slots=True)
class Planned:
    """What the command line says beside the file; `model` empty: all."""

    model: str
    day: str
    burstiness: float
    schedule: Sequence[str]
    seed: int


def planned(file: Path, wish: Planned) -> Iterator[Question]:
    """A question for each model with a workload, in the order of the file. Raises UserError."""
    from fairlead.plan.constants import shipped
    from fairlead.plan.place import work_of

    spec = load(file)
    try:
        _, _, work = work_of(spec, shipped(), file.parent, {})
    except UserError as error:
        raise located(error, read(file)) from None
    loaded = {name: choice for name, choice in work.chosen.items() if choice.option.ask.rate}
    names = [wish.model] if wish.model else list(loaded)
    if not names or names[0] not in loaded:
        hint = nearest(wish.model, loaded, otherwise="models") or "write models.NAME.workload"
        raise UserError(
            f"{wish.model!r} is no planned model with a workload" if wish.model else "no model has a workload",
            where=str(file),
            hint=hint,
        )
    for name in names:
        yield question(loaded[name], wish)


def question(choice: Choice, wish: Planned) -> Question:
    """One model's day: bounds, SLO, lengths, spot nodes and prices are those of the plan."""
    from fairlead.plan.answer import billed
    from fairlead.plan.autoscale.fleet import Spot

    option = choice.option
    ask, site, machine = option.ask, option.site, option.site.instance
    engine = replace(billed(choice), name=f"{ask.name}: {option.engine.name}")
    spot = Spot(share=float(site.spot), price=site.usd_hour / machine.usd_hour)
    least, most = ask.bounds or (1, 0)
    floors = tuple(floor(text) for text in wish.schedule)
    return posed(day_of(choice, wish), engine, ask.slo, Limits(least, most, floors, spot), wish.seed)


def day_of(choice: Choice, wish: Planned) -> Trace:
    """A day with the model's lengths, scaled to its rate at the busiest."""
    import numpy as np

    from fairlead.plan.autoscale import traces

    ask = choice.option.ask
    shape = wish.day or traces.DEFAULT_DAY
    rates, window_s = traces.rates_of(shape)
    scaled = rates * (ask.rate / rates.max())
    return traces.day(
        scaled,
        window_s,
        np.stack([ask.lengths.prompt, ask.lengths.output], axis=1),
        requests=float(scaled.sum() * window_s),
        burstiness=wish.burstiness,
        seed=wish.seed,
        name=shape,
    )
