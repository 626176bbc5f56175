import pytest

import signed_parameters as sp


def test_a_message_says_what_was_expected_what_was_found_and_what_to_do() -> None:
    error = sp.NotFound("a is missing", expected="b", found="c", remedy="Do d.")
    assert str(error) == "a is missing: expected b, found c. Do d."
    assert (error.problem, error.expected, error.found, error.remedy) == ("a is missing", "b", "c", "Do d.")
    assert str(sp.NotFound("a is missing")) == "a is missing"


@pytest.mark.parametrize("text", ["a\nFORGED LINE", "\x1b[2J", "\u202eabc", "\ud800", "\0", "\r"])
def test_a_message_cannot_forge_a_line_or_steer_a_terminal(text: str) -> None:
    for field in ("expected", "found", "remedy"):
        assert str(sp.NotFound("a", **{field: text})).isprintable()
    assert str(sp.NotFound(text)).isprintable()


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [(sp.ConfigurationError, 2), (sp.StorageError, 3), (sp.TooLarge, 3), (sp.UnsafePickle, 1), (sp.RolledBack, 1)],
)
def test_each_branch_of_the_tree_has_its_exit_status(error: type[sp.SignedParametersError], exit_code: int) -> None:
    assert issubclass(error, sp.SignedParametersError)
    assert error.exit_code == exit_code
