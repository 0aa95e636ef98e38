//! The vendors of one run, each behind a line of its own, and how each is brought into trouble.

use std::time::Duration;

use tonic::Code;

use super::dice::Dice;
use super::load::seed;
use super::trouble::{Trouble, Vendor};
use crate::queue::backend::Backend;
use crate::support::commcare::{API_KEY, CommCareStandIn, DOMAIN, Fault as HqFault, USERNAME};
use crate::support::postgres::TestDatabase;
use crate::support::process::queue_variables;
use crate::support::proxy::{Line, Proxy};
use crate::support::salesforce::{CLIENT_ID, CLIENT_SECRET, Fault, SalesforceStandIn};

const CALLS: u64 = 1_000_000;
const PAGE: &str = "<html><body>We will be back soon.</body></html>";
/// What may come instead of an answer of Salesforce: a page, or a word of an org that has moved.
const PAGES_OF_SALESFORCE: [(u16, &str); 7] =
    [(200, PAGE), (301, ""), (307, PAGE), (403, PAGE), (404, PAGE), (404, URL_NOT_RESET), (410, "")];
const URL_NOT_RESET: &str = r#"[{"errorCode":"URL_NOT_RESET","message":"Destination URL not reset."}]"#;
/// The words for too much to do.
const LOADS_OF_SALESFORCE: [(u16, &str); 4] = [
    (503, ""),
    (429, ""),
    (500, r#"[{"errorCode":"UNKNOWN_EXCEPTION","message":"An unexpected error occurred"}]"#),
    (403, r#"[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentRequests Limit exceeded."}]"#),
];
const PAGES_OF_HQ: [(u16, &str); 4] = [(200, PAGE), (302, ""), (404, PAGE), (405, "Method Not Allowed")];
/// What one piece takes on a slow line: a call has several.
const SLOWNESS: Duration = Duration::from_millis(250);

pub(super) struct Vendors {
    pub(super) salesforce: SalesforceStandIn,
    pub(super) hq: CommCareStandIn,
    pub(super) database: TestDatabase,
    /// The database user of the service, which can be locked out.
    role: String,
    /// The queue, past its line.
    pub(super) backend: Backend,
    lines: Lines,
}

struct Lines {
    salesforce: Proxy,
    hq: Proxy,
    database: Proxy,
    firestore: Option<Proxy>,
}

impl Vendors {
    pub(super) async fn start(backend: Backend) -> Self {
        let salesforce = SalesforceStandIn::start().await;
        seed(&salesforce);
        salesforce.set_usage(0, CALLS);
        salesforce.delay(Duration::from_millis(3));
        let hq = CommCareStandIn::start().await;
        hq.check_parents();
        hq.delay(Duration::from_millis(3));
        let database = TestDatabase::migrated().await;
        let role = format!("chaos_{}", uuid::Uuid::new_v4().simple());
        // What the owner of the tables may, and no superuser: those can't be locked out.
        database.run(&format!("CREATE ROLE {role} LOGIN IN ROLE postgres")).await;
        let login_url = salesforce.settings().login_url;
        let lines = Lines {
            salesforce: Proxy::to(login_url.as_str().trim_start_matches("http://").trim_end_matches('/'))
                .await,
            hq: Proxy::to(hq.url.trim_start_matches("http://")).await,
            database: Proxy::to(&host_of(&database.url)).await,
            firestore: match &backend.firestore {
                Some(firestore) => Some(Proxy::to(&firestore.host).await),
                None => None,
            },
        };
        salesforce.set_address(&format!("http://{}", lines.salesforce.address));
        Self { salesforce, hq, database, role, backend, lines }
    }

    /// The vendors that can be brought into trouble.
    pub(super) fn all(&self) -> Vec<Vendor> {
        let queue = self.backend.firestore.as_ref().map(|_| Vendor::Firestore);
        let disk = self.backend.disk.as_ref().map(|_| Vendor::Disk);
        [Vendor::Salesforce, Vendor::CommCare, Vendor::Postgis].into_iter().chain(queue).chain(disk).collect()
    }

    /// The variables of a service that calls them over their lines.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let Lines { salesforce, hq, database, firestore } = &self.lines;
        let name = self.database.url.rsplit_once('/').unwrap().1;
        let variables = [
            ("SALESFORCE_LOGIN_URL", format!("http://{}", salesforce.address)),
            ("SF_CLIENT_ID", CLIENT_ID.to_owned()),
            ("SF_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
            ("SF_SANDBOX_ATTENDANCE", "true".to_owned()),
            ("CC_BASE_URL", format!("http://{}", hq.address)),
            ("CC_DOMAIN", DOMAIN.to_owned()),
            ("CC_USERNAME", USERNAME.to_owned()),
            ("CC_API_KEY", API_KEY.to_owned()),
            ("DATABASE_URL", format!("postgres://{}@{}/{name}", self.role, database.address)),
        ];
        let line = firestore.as_ref().map(|line| ("FIRESTORE_EMULATOR_HOST", line.address.clone()));
        let variables = variables.into_iter().chain(line).map(|(name, value)| (name.to_owned(), value));
        // Later ones count: the queue is called over its line, too.
        queue_variables(&self.backend).into_iter().chain(variables).collect()
    }

    pub(super) async fn begin(&self, vendor: Vendor, trouble: Trouble, dice: &mut Dice) {
        let line = match trouble {
            Trouble::Down => Some(Line::Down),
            Trouble::Hanging => Some(Line::Hanging),
            Trouble::Noisy => Some(Line::Noisy(dice.number())),
            Trouble::LosingAnswers => Some(Line::LosingAnswers),
            Trouble::Slow => Some(Line::Slow(SLOWNESS)),
            Trouble::Page | Trouble::Overloaded | Trouble::LoginRefused | Trouble::QuotaUsedUp => None,
        };
        if let Some(line) = line {
            self.line(vendor).set(line);
            return;
        }
        match vendor {
            Vendor::Salesforce => self.trouble_salesforce(trouble, dice),
            Vendor::CommCare => {
                let (status, body) = match trouble {
                    Trouble::Page => PAGES_OF_HQ[dice.below(PAGES_OF_HQ.len())],
                    Trouble::Overloaded => (503, ""),
                    Trouble::QuotaUsedUp => (429, ""),
                    _ => (401, "Unauthorized"),
                };
                self.hq.set_outage(Some(HqFault::Answer(status, body.to_owned())));
            }
            Vendor::Postgis => {
                let lock = if trouble == Trouble::LoginRefused { "NOLOGIN" } else { "CONNECTION LIMIT 0" };
                self.alter_role(lock).await;
            }
            Vendor::Firestore => {
                let code = match trouble {
                    Trouble::QuotaUsedUp => Code::ResourceExhausted,
                    Trouble::LoginRefused => Code::Unauthenticated,
                    _ => Code::Unavailable,
                };
                self.backend.firestore.as_ref().unwrap().set_outage(Some(code));
            }
            Vendor::Disk => self.backend.disk.as_ref().unwrap().fill(),
        }
    }

    fn trouble_salesforce(&self, trouble: Trouble, dice: &mut Dice) {
        // A login that is refused would be another trouble: the org answers so, and its log-in works.
        let answer = |(status, body): (u16, &str)| {
            self.salesforce.set_composite_outage(Some(Fault::Answer(status, body.to_owned())));
        };
        match trouble {
            Trouble::Page => answer(PAGES_OF_SALESFORCE[dice.below(PAGES_OF_SALESFORCE.len())]),
            Trouble::Overloaded => answer(LOADS_OF_SALESFORCE[dice.below(LOADS_OF_SALESFORCE.len())]),
            Trouble::QuotaUsedUp => self.salesforce.set_usage(CALLS, CALLS),
            _ => {
                self.salesforce.expire_sessions();
                self.salesforce.refuse_logins(true);
            }
        }
    }

    /// Ends a vendor's trouble.
    pub(super) async fn end(&self, vendor: Vendor, trouble: Trouble) {
        match vendor {
            Vendor::Disk => return self.backend.disk.as_ref().unwrap().empty(),
            _ => self.line(vendor).set(Line::Up),
        }
        match vendor {
            Vendor::Salesforce => {
                self.salesforce.set_composite_outage(None);
                self.salesforce.set_usage(0, CALLS);
                self.salesforce.refuse_logins(false);
            }
            Vendor::CommCare => self.hq.set_outage(None),
            Vendor::Postgis if matches!(trouble, Trouble::LoginRefused | Trouble::QuotaUsedUp) => {
                self.alter_role("LOGIN CONNECTION LIMIT -1").await;
            }
            Vendor::Postgis | Vendor::Disk => {}
            Vendor::Firestore => self.backend.firestore.as_ref().unwrap().set_outage(None),
        }
    }

    /// What the role may do from now on; whoever is logged in has to log in anew.
    async fn alter_role(&self, what: &str) {
        let role = &self.role;
        let end_sessions =
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
        self.database.run(&format!("ALTER ROLE {role} {what}; {end_sessions}")).await;
    }

    fn line(&self, vendor: Vendor) -> &Proxy {
        match vendor {
            Vendor::Salesforce => &self.lines.salesforce,
            Vendor::CommCare => &self.lines.hq,
            Vendor::Postgis => &self.lines.database,
            Vendor::Firestore => self.lines.firestore.as_ref().unwrap(),
            Vendor::Disk => unreachable!("no line leads to the disk"),
        }
    }

    /// Takes the role away again: it belongs to the server, not to the database.
    pub(super) async fn close(&self) {
        self.database.run(&format!("DROP ROLE {}", self.role)).await;
    }
}

fn host_of(database: &str) -> String {
    let (_, address) = database.split_once('@').unwrap();
    address.split_once('/').unwrap().0.to_owned()
}
