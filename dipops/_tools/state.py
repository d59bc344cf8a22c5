"""Objects whose state can be saved and loaded."""

from typing import Any, ClassVar


class Stateful:
    """An object whose state is the attributes that ``state`` names: tensors and plain values."""

    state: ClassVar[tuple[str, ...]] = ()

    def state_dict(self) -> dict[str, Any]:
        """The state; its tensors are the object's own."""
        return {name: getattr(self, name) for name in self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what ``state_dict`` gave; the tensors become the object's own."""
        for name in self.state:
            setattr(self, name, state[name])
