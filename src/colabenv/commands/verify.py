"""`verify`: check the kernel of an environment again."""

from __future__ import annotations

from colabenv.commands.context import Context
from colabenv.kernel.candidate import check_environment
from colabenv.kernel.lookup import find_environment
from colabenv.output.up import VerifyResult
from colabenv.profile.load import load


def verify(context: Context, name: str) -> VerifyResult:
    """Start the environment's kernel and run the profile's check in it, against the environment's own lock.

    Raises:
        UsageError: there is no such environment.
        ProfileError, LockError: the profile or the environment's lock is missing or invalid.
        CheckError: the check failed.
    """
    environment = find_environment(name, context)
    loaded = load(environment.stamp.profile, context.profile_sources())
    report = check_environment(loaded.profile, environment, context.host(), context)
    return VerifyResult.checked(name, environment.prefix, report, context.notes())
