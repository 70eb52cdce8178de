"""Links to features: download, decode and embed every ready link of a run, on Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

from trailergenre.base import fault_injection
from trailergenre.base.config import Config
from trailergenre.base.errors import ExitCode
from trailergenre.base.sandbox.scratch import remove_abandoned_scratch
from trailergenre.base.storage import Store
from trailergenre.base.terminal import print_line
from trailergenre.features.backbone import check_backbone
from trailergenre.features.settings import TaskSettings, feature_settings, task_settings
from trailergenre.runs import outcomes_table
from trailergenre.runs.compaction import compact_outcomes
from trailergenre.runs.fingerprint import FeatureSettings, write_settings
from trailergenre.runs.lease import hold_lease
from trailergenre.runs.orphans import remove_orphans
from trailergenre.runs.plan import Plan, parse_retry, plan_links
from trailergenre.runs.sessions import record_start, record_summary
from trailergenre.runs.stage_time import ExecutorTime, time_lines
from trailergenre.runs.status import STATUS_COLUMNS, RunStatus, read_status, run_with_progress
from trailergenre.spark.featurize import featurize_links
from trailergenre.spark.session import spark_context, spark_session
from trailergenre.spark.worker_checks import DOWNLOADS


def featurize(
    store: Store,
    settings: Config,
    *,
    keep: Literal["videos", "frames"] | None = None,
    retry: Sequence[str] = (),
    recompute: bool = False,
) -> ExitCode:
    """Turn the ready links of a run into features; a stopped run resumes."""
    retried = parse_retry(retry)
    features = feature_settings(settings, check_backbone(settings.backbone))
    tasks = task_settings(settings, store, features, keep)
    with hold_lease(store, "featurize"):
        compact_outcomes(store, features.fingerprint)  # of a session that was killed
        kept = tasks.list_kept()
        plan = plan_links(store, features, kept, recompute=recompute, retry=retried)
        write_settings(store, features)
        remove_orphans(store, features)
        remove_abandoned_scratch()
        if len(plan.carried):
            outcomes_table.write_outcomes(store, features.fingerprint, plan.carried)
        outcomes = outcomes_table.OutcomesReader(store, features.fingerprint, STATUS_COLUMNS)
        times = _featurize(plan, tasks, outcomes) if plan.todo else []
        code = _summarize(store, features, plan, read_status(outcomes, plan.ready), times)
        fault_injection.arm(tasks.faults, task=0, attempt=0)
        compact_outcomes(store, features.fingerprint)
        return code


def _featurize(
    plan: Plan, tasks: TaskSettings, outcomes: outcomes_table.OutcomesReader
) -> list[ExecutorTime]:
    store, fingerprint, kept = tasks.store, tasks.features.fingerprint, tasks.frames
    # Nothing here is secret; `verify` checks the outcomes against it.
    record_start(
        store,
        "featurize",
        {
            "features": fingerprint,
            "limits": tasks.config.limits.model_dump(),
            "allow": list(tasks.config.network.allow),
            "egress": tasks.config.network.egress,
        },
    )
    list_kept = kept.list_link_ids if kept is not None and kept.keeps_new else None
    engine = ("openvino",) if tasks.config.backbone.engine == "openvino" else ()
    with spark_session("featurize", store, (*DOWNLOADS, *engine)) as spark:
        stages = run_with_progress(
            lambda: featurize_links(spark, plan.todo, tasks),
            stop=spark_context(spark).cancelAllJobs,
            outcomes=outcomes,
            ready=plan.ready,
            list_kept=list_kept,
        )
    return [executor for stage in stages for executor in stage.by_executor()]


def _summarize(
    store: Store,
    features: FeatureSettings,
    plan: Plan,
    status: RunStatus,
    times: list[ExecutorTime],
) -> ExitCode:
    if len(times) > 1:  # several executors
        for line in time_lines(times):
            print_line(line, err=True)
    for lacking in status.sandbox:
        if lacking != "full":
            print_line(f"sandbox: {lacking} on some machine; docs/security.md says why", err=True)
    record_summary(
        store,
        "featurize",
        {
            "features": features.fingerprint,
            "ready": status.ready,
            "requested": len(plan.todo),
            "by_outcome": status.by_outcome,
            "without_outcome": status.without_outcome,
            "frames": status.frames,
            "sandbox": status.sandbox,
            "time": [asdict(time) for time in times],
        },
    )
    return ExitCode.FINISHED if status.finished == status.ready else ExitCode.INCOMPLETE
