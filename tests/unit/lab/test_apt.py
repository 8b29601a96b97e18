from __future__ import annotations

from nimctl.lab.apt import Sources, pick_mirrors


def test_a_debian_machine_passes_its_own_mirrors_on():
    listing = (
        "Debian|bookworm|http://mirror.example/debian/\n"
        "Debian|bookworm-updates|http://other.example/debian/\n"
        "Debian|bookworm-security|https://mirror.example/security/\n"
        "Example|bookworm|http://vendor.example/apt\n"
    )
    assert pick_mirrors(listing) == ("http://mirror.example/debian", "https://mirror.example/security")


def test_without_a_mirror_of_its_own_debians_are_used():
    listing = "Example|stable|http://vendor.example/apt\nDebian|bookworm|cdrom:[disc]/\n"
    assert pick_mirrors(listing) == (
        "http://deb.debian.org/debian",
        "http://deb.debian.org/debian-security",
    )


def test_mirrors_settings_and_certificates_reach_the_image():
    sources = Sources(
        "http://mirror.example/debian",
        "http://mirror.example/security",
        (("Acquire::http::Proxy", "http://proxy.example:3128"),),
        (("site.crt", b"PEM"),),
    )
    files = {path: file.content.decode() for path, file in sources.files().items()}
    listed = files["/etc/apt/sources.list.d/debian.sources"]
    assert "URIs: http://mirror.example/debian\nSuites: trixie trixie-updates\n" in listed
    assert "URIs: http://mirror.example/security\nSuites: trixie-security\n" in listed
    assert 'Acquire::http::Proxy "http://proxy.example:3128";' in files["/etc/apt/apt.conf.d/90nimctl-lab"]
    assert files["/usr/local/share/ca-certificates/site.crt"] == "PEM"
