import inspect

from magpie_hub import errors


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    classes = [
        cls
        for _, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.MagpieHubError)
    ]
    drawn = errors.__doc__ or ""
    for cls in classes:
        assert cls.__name__ in drawn


def test_exit_codes() -> None:
    codes = {
        errors.UsageError: 2,
        errors.RecipeError: 2,
        errors.RunMismatch: 2,
        errors.InvalidData: 3,
        errors.DamagedShard: 3,
        errors.HubError: 4,
        errors.EngineError: 5,
        errors.StorageError: 5,
        errors.Interrupted: 130,
    }
    assert {cls: cls.exit_code for cls in codes} == codes


def test_a_missing_extra_names_the_line_that_installs_it() -> None:
    assert "pip install 'magpie-hub[transformers]'" in str(
        errors.MissingExtra("torch", "transformers")
    )
