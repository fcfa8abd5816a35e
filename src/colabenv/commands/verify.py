"""`verify`: prove an environment again."""

from __future__ import annotations

import os

from colabenv.commands.context import Context, check_environment, find_environment
from colabenv.environment.up_cache import mark_suspect
from colabenv.errors import CheckError, LockError
from colabenv.lock.files import read_at
from colabenv.output.results import VerifyResult
from colabenv.profile.load import load


def verify(context: Context, name: str) -> VerifyResult:
    """Start the environment's kernel, run the proof in it, and publish nothing.

    Raises:
        UsageError: there is no such environment.
        ProfileError, LockError: the profile or the lock it was built from is gone or broken.
        ProofError: the proof failed.
    """
    environment = find_environment(name, context)
    stamp = environment.stamp
    loaded = load(stamp.profile, context.outside())
    lock = read_at(stamp.lock)
    if lock is None:
        raise LockError(f"{stamp.lock} is gone.", hint=f"Restore it, or run: colabenv up {stamp.profile}")
    context.progress.stage("Proving the kernel")
    try:
        proof = check_environment(loaded.profile, environment, lock, context.host(), context)
    except CheckError:
        mark_suspect(environment.prefix)
        raise
    return VerifyResult(
        name=name,
        environment=str(environment.prefix),
        kernel_class=proof.kernel_class,
        python=proof.python,
        tensorflow=proof.tensorflow,
        keras=proof.keras,
        torch=proof.torch,
        jax=proof.jax,
        backend=proof.backend,
        tensorflow_from=os.path.dirname(proof.origins.get("tensorflow", "")),  # noqa: PTH120
        devices=proof.devices,
        seconds={step: round(value, 3) for step, value in proof.seconds.items()},
        notes=context.notes(),
    )
