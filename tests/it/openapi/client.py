"""Calls a running service with the client that openapi-python-client has made of its OpenAPI document.

usage: client.py URL OPERATOR_TOKEN WEBHOOK_KEY SAMPLES_FOLDER; the generated package is importable as `generated`.
"""

import json
import sys
from pathlib import Path

from generated import AuthenticatedClient, Client, models
from generated.api.operators import (
    batch_retry,
    bulk_update,
    check_destinations,
    failed,
    failed_groups,
    mappings,
    mark_unmapped,
    metrics,
    openapi,
    preview_form,
    preview_payload,
    record,
    retry,
    retry_by_post,
    status,
    status_count,
    unmapped,
)
from generated.api.probes import health, ready
from generated.api.scheduler import (
    check_destinations_by_schedule,
    drain_to_commcare,
    drain_to_salesforce,
    reconcile,
    retry_to_commcare,
    retry_to_salesforce,
)
from generated.api.webhooks import accept_commcare, accept_salesforce, check_commcare, check_salesforce

url, operator_token, webhook_key, samples = sys.argv[1:]
made = set()


def call(operation, expected, status=200, **arguments):
    """Makes a call; fails unless the answer has this status and was read as this type."""
    made.add(operation.__name__.rpartition(".")[2])
    answer = operation.sync_detailed(**arguments)
    assert answer.status_code == status, (operation.__name__, answer)
    assert isinstance(answer.parsed, expected), (operation.__name__, answer)
    return answer.parsed


anybody = Client(url, raise_on_unexpected_status=True)
webhook = AuthenticatedClient(
    url, webhook_key, prefix="", auth_header_name="X-API-Key", raise_on_unexpected_status=True
)
operator = AuthenticatedClient(url, operator_token, raise_on_unexpected_status=True)

assert call(health, models.Probe, client=anybody).status == "ok"
assert call(ready, models.Probe, client=anybody).status == "ready"

forms, payloads = [], []
for file in sorted(Path(samples).glob("*.json")):
    sample = json.loads(file.read_text())
    if "form" in sample:
        forms.append(models.HandledForm.from_dict(sample))
    else:
        payloads.append(models.HandledPayload.from_dict(sample))
assert forms and payloads

for check, accept, bodies in [
    (check_commcare, accept_commcare, forms),
    (check_salesforce, accept_salesforce, payloads),
]:
    assert call(check, models.ReadyAnswer, client=webhook).status == "ready"
    call(check, models.ErrorBody, 401, client=anybody)
    call(accept, models.ErrorBody, 401, client=anybody, body=bodies[0])
    for body in bodies:
        assert call(accept, models.WebhookAnswer, client=webhook, body=body).duplicate is False
        assert call(accept, models.WebhookAnswer, client=webhook, body=body).duplicate is True
skipped = models.OtherForm.from_dict({"form": {"@name": "Soil Survey"}})
assert call(accept_commcare, models.WebhookAnswer, client=webhook, body=skipped).status.startswith("Skipped")

for form in forms:
    previewed = call(preview_form, models.Preview, client=operator, body=form)
    assert previewed.upserts or previewed.rows
for payload in payloads:
    body = models.PayloadToPreview.from_dict(payload.to_dict())
    assert call(preview_payload, models.Preview, client=operator, body=body).documents

done = call(drain_to_salesforce, models.DrainAnswer, client=operator, drain=True)
assert done.failed_records == [] and done.processed_records
assert call(drain_to_commcare, models.DrainAnswer, client=operator, drain=True).failed_records == []
call(drain_to_salesforce, models.ErrorBody, 422, client=operator, limit=0)
assert call(retry_to_salesforce, models.AutoRetryAnswer, client=operator).processed_records_count == 0
assert call(retry_to_commcare, models.AutoRetryAnswer, client=operator, limit=1).processed_records == []

counts = call(status_count, models.StatusCountAnswer, client=operator, collection=models.Collection.COMMCARE_COLLECTION)
assert (counts.status_counts.new, counts.status_counts.completed) == (0, len(forms))

collection, id = models.Collection.COMMCARE_COLLECTION, forms[0].id
(found,) = call(record, list, client=operator, collection=collection, id=id)
assert found.data.status == models.Status.COMPLETED and found.data.data.to_dict() == forms[0].to_dict()
assert found.data.attempts[0].outcome == models.AttemptOutcome.COMPLETED
call(record, models.NothingFound, 404, client=operator, collection=collection, id="nobody")

to_salesforce = models.Dest.SF
for again in (retry, retry_by_post):
    answer = call(again, models.RetryAnswer, client=operator, dest=to_salesforce, id=id, force=True)
    assert [result.status for result in answer.results] == ["completed"]
ids = models.BatchRetryRequest(ids=[id, 4711])
answer = call(batch_retry, models.BatchRetryAnswer, client=operator, dest=to_salesforce, body=ids, force=True)
assert [len(of_one_id.results) for of_one_id in answer.results] == [1, 0]
answer = call(batch_retry, models.DryRun, client=operator, dest=to_salesforce, body=ids, dry_run=True)
assert (answer.records, answer.not_found) == (1, ["4711"])
change = models.BulkUpdateRequest(ids=[id], status=models.Status.FAILED)
assert call(bulk_update, models.BulkUpdateAnswer, client=operator, collection=collection, body=change).updated == 1

page = call(failed, models.FailedAnswer, client=operator, dest=to_salesforce, summary=True, limit=10)
assert [job.id for job in page.failed_jobs] == [id] and page.next_cursor is None
(group,) = call(failed_groups, models.GroupsAnswer, client=operator, dest=to_salesforce).groups
assert (group.count, group.example, group.cause) == (1, id, models.Cause.SET_BY_HAND)
running = call(status, models.StatusAnswer, client=operator)
assert [destination.dry_run for destination in running.destinations] == [True, True, True]
assert running.scheduler[0].last_status == 422 and running.scheduler[0].late is False
answers = call(unmapped, models.UnmappedList, client=operator).unmapped
if answers:
    mark = models.Mark(job_name=answers[0].job_name, path=answers[0].path, code=answers[0].code, known=True)
    assert call(mark_unmapped, models.Mark, client=operator, body=mark).known is True
else:
    mark = models.Mark(job_name="Farm Visit Full", path="form.shade", code="9", known=True)
    call(mark_unmapped, models.ErrorBody, 404, client=operator, body=mark)
document = call(mappings, models.MappingsAnswer, client=operator, job_name="Farm Visit Full")
assert document.mappings
assert call(reconcile, models.Reconciliation, client=operator, dry_run=True).accepted == 0
for check in (check_destinations, check_destinations_by_schedule):
    assert call(check, models.Report, client=operator).findings == []
assert "commcare_sf_queue_up 1" in call(metrics, str, client=operator)
document = call(openapi, models.OpenapiResponse200, client=operator)
described = {
    operation["operationId"] for path in document["paths"].values() for operation in path.values()
}
assert made == described, made ^ described
print(f"{len(made)} operations called")
