"""What Gesso relies on in every sampler."""

from gesso.testing import check_sampler

from gesso_midway.plugin import midway


def test_the_sampler_can_be_relied_on() -> None:
    check_sampler(midway)
