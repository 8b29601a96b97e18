import pytest
from ansible_collections.nimctl.multinode.plugins.filter.systemd_words import systemd_words


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("plain", "plain"),
        ("--label=a.b-c_d:e/f@g,h", "--label=a.b-c_d:e/f@g,h"),
        ("two words", '"two words"'),
        ("", '""'),
        ("100%", "100%%"),
        ("$HOME ${X}", '"$$HOME $${X}"'),
        ("$HOME", "$$HOME"),
        ('say "hi"', r'"say \"hi\""'),
        ("it's", '"it\'s"'),
        ("a\\b", r'"a\\b"'),
        ("a\nb\tc", r'"a\nb\tc"'),
        (";", r"\;"),
        ("~", '"~"'),
        (30, "30"),
    ],
)
def test_each_word_reaches_the_command_as_it_is(word, written):
    assert systemd_words([word]) == written


def test_words_are_joined():
    assert systemd_words(["/bin/echo", "a b", "c"]) == '/bin/echo "a b" c'


def test_a_null_character_is_refused():
    with pytest.raises(ValueError, match="null"):
        systemd_words(["a\0b"])
