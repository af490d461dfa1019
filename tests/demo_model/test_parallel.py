"""Two processes see the same summed gradient, and share what they find."""

import torch
from torch import nn

from demo_model import parallel
from demo_model.parallel import Team


def test_gradients_are_summed_and_findings_gathered() -> None:
    model = nn.Linear(3, 2, bias=False)
    seen = torch.zeros(2, 3).share_memory_()

    def work(team: Team) -> None:
        model.weight.grad = torch.full((2, 3), float(team.rank + 1))
        loss = team.exchange(model, 0.5)
        assert model.weight.grad is not None
        gathered = team.gather([f"from {team.rank}"])
        seen[team.rank] = torch.tensor(
            [model.weight.grad.sum(), loss, float(gathered == ["from 0", "from 1"])]
        )
        team.wait()

    parallel.together(model, workers=2, work=work)
    assert seen.tolist() == [[18.0, 1.0, 1.0], [18.0, 1.0, 1.0]]


def test_one_process_is_a_team_too() -> None:
    model = nn.Linear(3, 2, bias=False)
    team = parallel.solo(model)
    assert team.share([1, 2, 3]) == [1, 2, 3]
    assert team.gather(["mine"]) == ["mine"]
    assert team.exchange(model, 2.0) == 2.0
    assert model.weight.grad is not None and not model.weight.grad.any()
