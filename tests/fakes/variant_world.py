"""A variant's life, a worker whose model is a table, and a clock."""

from __future__ import annotations

from fakes.table_model import TableModel, an_input, decode_vector, onednn_saves

from trimtab_engine.variants.accuracy import Task
from trimtab_engine.variants.capture import Capture
from trimtab_engine.variants.course import Phase, Wish
from trimtab_engine.variants.lifecycle import VariantLife
from trimtab_engine.variants.spares import SpareMemory

INT8 = Wish("Int8", 0.98)
NEEDED = 32


class World:
    """A life, its worker and a clock."""

    def __init__(self, loss: float = 0.0005, inputs: int = 300) -> None:
        self.loss = loss
        self.model = TableModel(lambda layer: self.loss, onednn_saves)
        self.capture = Capture(1 << 20, NEEDED)
        self.phases: list[Phase] = []
        self.batch_size = 8
        self.short = False  # of memory
        self.life = VariantLife(
            "m",
            task=lambda: Task.EMBEDDING,
            decode=decode_vector,
            batch_size=lambda: self.batch_size,
            capture=self.capture,
            changed=lambda standing: self.phases.append(standing.phase),
            memory=SpareMemory(lambda: self.short, lambda: 0),
        )
        self.now = 0.0
        for number in range(inputs):
            self.capture.keep(an_input(number))

    def step(self) -> bool:
        """One chore, if there is any."""
        chore = self.life.next(self.now)
        if chore is not None:
            self.now += 0.01
            self.life.done(chore, self.model.answer(chore), self.now)
        return chore is not None

    def settle(self) -> None:
        """All chores, until there is none."""
        for _ in range(20_000):
            if not self.step():
                return
        raise AssertionError("chores without end")

    def wish(self, wish: Wish) -> None:
        """Ask for something now."""
        self.life.wish(wish, self.now)
