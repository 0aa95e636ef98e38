//! The text of `--help` below the options of each command: settings that are read, examples, exit codes.

/// Of the program.
pub(super) const GENERAL: &str = "\
Examples:
  commcare-sf-integration demo                  see what it does, with nothing to set up
  commcare-sf-integration check-config          see which settings are in force
  commcare-sf-integration                       run the service

Exit codes:
  0  success
  1  failure; standard error says why
  2  wrong usage";

/// Of `serve`.
pub(super) const SERVE: &str = "\
Reads every setting of .env.example from the environment and from .env. Settings that are wrong are
reported together, before anything starts. Log lines go to standard error.

Examples:
  commcare-sf-integration serve
  PORT=9000 OPERATOR_TOKEN=secret commcare-sf-integration serve

Exit codes:
  0  stopped by SIGTERM or an interrupt; records that were in work are completed or back in the queue
  1  it could not start, or could not go on
  2  wrong usage";

/// Of `demo`.
pub(super) const DEMO: &str = "\
Reads HOST, PORT, RUST_LOG and LOG_FORMAT, and no other setting: it touches no queue and no destination
that is configured. The demo's queue is in a temporary folder, which is removed at the end.

Examples:
  commcare-sf-integration demo
  PORT=9000 commcare-sf-integration demo

Exit codes:
  0  interrupted
  1  it could not start, or a sample failed
  2  wrong usage";

/// Of `preview`.
pub(super) const PREVIEW: &str = "\
Reads the payload, and of the settings SALESFORCE_ENV and SF_SANDBOX_ATTENDANCE (whether registrations
write attendance), CC_USER_ID, CC_META_USERNAME and CC_DEVICE_ID (who CommCare documents come from). The
other settings have to be sound.

Examples:
  commcare-sf-integration preview form.json
  commcare-sf-integration preview payload.json         a payload from Salesforce, known by its jobType
  curl -s https://example.org/form.json | commcare-sf-integration preview - --json | jq .upserts

Exit codes:
  0  printed; also where the form type isn't handled or nothing would be sent: the output says so
  1  the payload cannot be read, or a record would fail: standard error has the error. Where only some
     records of a payload would fail, the payload is printed all the same
  2  wrong usage";

/// Of `migrate`.
pub(super) const MIGRATE: &str = "\
Reads DATABASE_URL (postgres://user:password@host/database). The user must be allowed to create tables
and, where they are missing, the extensions postgis and uuid-ossp. RUN_MIGRATIONS=true does the same at
every start of the service.

Examples:
  DATABASE_URL=postgres://me:secret@localhost/mills commcare-sf-integration migrate
  commcare-sf-integration migrate --json        {\"database\":\"localhost:5432/mills\",\"status\":\"up to date\"}

Exit codes:
  0  the schema is up to date
  1  it is not; standard error says why
  2  wrong usage";

/// Of `check-config`.
pub(super) const CHECK_CONFIG: &str = "\
Reads every setting of .env.example from the environment and from .env. Prints each with its value and
whether it is set, then what the service would do with these settings, and warnings. With --json:
  {\"settings\":[{\"name\",\"value\",\"given\"}],\"summary\":{\"queue\",\"salesforce\",\"commcare\",\"postgis\",…},
   \"warnings\":[…]}

Examples:
  commcare-sf-integration check-config
  commcare-sf-integration check-config --json | jq -r .summary.salesforce

Exit codes:
  0  the service would start with these settings
  1  it would not; standard error lists every problem
  2  wrong usage";

/// Of `summary`.
pub(super) const SUMMARY: &str = "\
Reads the settings of the queue. The other settings have to be sound. The columns of the CSV are
  day,job_name,received,written,waiting,failed,without_effect
where a record without effect completed with nothing written: no rule of its form type matched, or its
destination is in dry run.

Examples:
  commcare-sf-integration summary
  commcare-sf-integration summary --since 2026-11-01 --format csv > november.csv

Exit codes:
  0  printed
  1  the queue cannot be read
  2  wrong usage";

/// Of `check-destinations`.
pub(super) const CHECK_DESTINATIONS: &str = "\
Reads every setting of .env.example from the environment and from .env. Salesforce: the objects and
fields that the mappings write, external ids, lookups, labels of restricted picklists, lengths, required
fields. CommCare: the credential and the user's rights. PostGIS: extensions, migrations, tables, rights.
Firestore: the indexes. One line for each finding: destination, object.field, what is wrong, which form
types it stops. A destination without credentials is not checked.

Examples:
  commcare-sf-integration check-destinations
  commcare-sf-integration check-destinations --json | jq -r '.findings[].field'

Exit codes:
  0  nothing found that would fail
  1  something would fail; or the settings are wrong, and standard error lists every problem
  2  wrong usage; or a configured destination could not be reached or asked, and nothing else was found";

/// Of `mappings`.
pub(super) const MAPPINGS: &str = "\
Reads no setting. One line is a field: the object and how its record is found, the form paths of the
answers, how the value is made of them, and the label of each code.

Examples:
  commcare-sf-integration mappings | less
  commcare-sf-integration mappings \"Farm Visit Full\"
  commcare-sf-integration mappings --format csv > mappings.csv
  commcare-sf-integration mappings --json | jq '.mappings[] | select(.field == \"Status__c\")'

Exit codes:
  0  printed
  1  no form type has this name, or standard output cannot be written
  2  wrong usage";

/// Of `reconcile`.
pub(super) const RECONCILE: &str = "\
Reads CC_DOMAIN, CC_USERNAME, CC_API_KEY, CC_BASE_URL, RECONCILE_DAYS and the settings of the queue.
docs/senders/commcare-hq.md says which permissions the key's user needs in CommCare HQ.

Examples:
  commcare-sf-integration reconcile
  commcare-sf-integration reconcile --since 2024-01-01 --dry-run     what the past would bring
  commcare-sf-integration reconcile --since 2024-01-01 --until 2024-12-31

Exit codes:
  0  the list was read to its end, or the queue is empty and nothing was asked for
  1  CommCare HQ could not be asked, or the queue failed; standard error says why. The next call goes on
  2  wrong usage";

/// Of `openapi`.
pub(super) const OPENAPI: &str = "\
Reads no setting.

Examples:
  commcare-sf-integration openapi > openapi.json
  commcare-sf-integration openapi | jq '.paths | keys'

Exit codes:
  0  printed
  1  standard output cannot be written
  2  wrong usage";
