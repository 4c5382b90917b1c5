//! An API, a Sluice in front of it, and callers.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use model::decision::Outcome;
use model::effect::Object;
use model::event::Event;
use serde_json::Value;
use tempfile::TempDir;
use testkit::api::{Api, Options};
use testkit::command::{Output, run};
use testkit::demo::site::Site;
use testkit::issuer::Grant;
use testkit::wait::eventually_blocking;

use crate::support::{LIMIT, admin, binary, record};

/// The groups of somebody who may use the API and sees nothing in clear.
pub(crate) const CALLER: &[&str] = &["callers"];

/// Likewise, and sees everything.
pub(crate) const CLEARED: &[&str] = &["callers", "cleared"];

const BASELINE: &str = include_str!("../../../policy/shipped/baseline.cedar");
const POLICIES: &str = include_str!("policies.cedar");
const CLASSIFICATION: &str = r#"
[classes.card_number]
mask = "partial"
keep_last = 4
[[field]]
route = "shop/GET /v1/customers/{id}"
path = "$.name"
classes = ["person_name"]
"#;

/// What differs from the usual ground.
#[derive(Default)]
pub(crate) struct Tuning {
    /// Of the API.
    pub(crate) api: Options,
    /// Lines for the end of `[listen.http]`, and what follows it.
    pub(crate) sluice_toml: String,
    /// Lines for the end of the target.
    pub(crate) target: String,
    /// Further targets.
    pub(crate) targets: String,
    /// Another file of policies.
    pub(crate) policies: String,
    /// Further files of the revision.
    pub(crate) apis: Vec<(&'static str, String)>,
    /// Further files of the revision that are no text.
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    /// Where the target is, in place of the API.
    pub(crate) address: Option<String>,
    /// How Sluice proves itself there.
    pub(crate) credential: Option<String>,
}

/// All of it. When it goes, what the API executed has to be what the journal permitted.
pub(crate) struct Ground {
    // In this order: Sluice ends before its target.
    pub(crate) site: Site,
    pub(crate) api: Api,
    pub(crate) folder: TempDir,
}

/// An answer as curl tells of it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The version of HTTP: `1.1` or `2`.
    pub(crate) version: String,
    /// The fields in their order, their names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The first value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The detail of a problem, which the answer has to be.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["instance"].as_str().is_some_and(|instance| instance.starts_with("urn:sluice:")), "{problem}");
        problem["detail"].as_str().unwrap().to_owned()
    }
}

impl Ground {
    pub(crate) fn new() -> Result<Self> {
        Self::tuned(Tuning::default())
    }

    pub(crate) fn tuned(tuning: Tuning) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let api = Api::start(tuning.api)?;
        let listen = format!("\n[listen.http]\naddress = \"127.0.0.1:0\"\n{}", tuning.sluice_toml);
        let mut site = Site::with_revision(binary(), &listen, &revision(&api, &tuning))?;
        for (name, bytes) in &tuning.files {
            std::fs::create_dir_all(site.revision_file("apis"))?;
            std::fs::write(site.revision_file(name), bytes)?;
        }
        site.start()?;
        Ok(Self { site, api, folder })
    }

    /// A token for somebody in these groups.
    pub(crate) fn token(&self, subject: &str, groups: &[&str]) -> Result<String> {
        self.site.issuer().issue(Grant::new(subject).groups(groups.iter().copied()))
    }

    /// The URL of a path of the API.
    pub(crate) fn url(&self, path: &str) -> Result<String> {
        Ok(format!("https://localhost:{}{path}", self.site.process()?.address("http")?.port()))
    }

    /// curl, told whom to trust.
    pub(crate) fn curl(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new("curl");
        let port = self.site.process()?.address("http")?.port();
        let ca = self.site.ca().display().to_string();
        command.args(["-sS", "--noproxy", "*", "--path-as-is", "--max-time", "60", "--cacert", &ca]);
        command.args(["--resolve", &format!("localhost:{port}:127.0.0.1")]).args(arguments);
        Ok(command)
    }

    /// Asks for a path of the API with curl, as somebody in these groups.
    pub(crate) fn ask(&self, groups: &[&str], path: &str, arguments: &[&str]) -> Result<Answer> {
        let bearer = format!("Authorization: Bearer {}", self.token("erin", groups)?);
        self.ask_as(Some(&bearer), path, arguments)
    }

    /// Asks with this field, or without one.
    pub(crate) fn ask_as(&self, field: Option<&str>, path: &str, arguments: &[&str]) -> Result<Answer> {
        let mut command = self.curl(&["-D", "-", "-o", "-"])?;
        command.args(field.iter().flat_map(|field| ["-H", field])).args(arguments).arg(self.url(path)?);
        answer(&run(command, b"")?)
    }

    /// Runs `sluice` as somebody in these groups.
    pub(crate) fn sluice_as(&self, subject: &str, groups: &[&str], arguments: &[&str]) -> Result<Output> {
        self.site.hand_out(subject, Grant::new(subject).groups(groups.iter().copied()))?;
        let file = self.site.token_file(subject).display().to_string();
        let config = self.site.config().display().to_string();
        let mut command = Command::new(self.site.binary());
        command.args(arguments).args(["--config", &config, "--token-file", &file]);
        run(command, b"")
    }

    /// The id of an approval that somebody waits for.
    pub(crate) fn pending(&self) -> Result<String> {
        let token = self.token("olga", &["ops"])?;
        eventually_blocking(LIMIT, "an approval to wait for", || {
            let (_, list) = admin::call(&self.site, &token, "GET", "/v1/approvals?status=pending", None)?;
            Ok(list.pointer("/0/id").or_else(|| list.pointer("/0/approval")).and_then(Value::as_str).map(str::to_owned))
        })
    }

    /// The sessions that live.
    pub(crate) fn sessions(&self) -> Result<Vec<String>> {
        let token = self.token("ada", &["sluice-admin"])?;
        let (_, live) = admin::call(&self.site, &token, "GET", "/v1/sessions", None)?;
        let sessions = live.as_array().context("no list")?.iter();
        Ok(sessions.filter_map(|one| one["session"].as_str().map(str::to_owned)).collect())
    }

    /// Waits until so many requests have reached the API.
    pub(crate) fn wait_for_reached(&self, count: usize) -> Result<()> {
        eventually_blocking(LIMIT, &format!("{count} requests"), || {
            Ok((self.api.reached()?.len() >= count).then_some(()))
        })
    }

    /// Fails unless the journal has permitted all that reached the API, as often as it did (O1).
    fn verify(&self) -> Result<()> {
        // What reached it first: that was decided before.
        let reached = self.api.reached()?;
        let (mut routes, mut permitted) = (BTreeMap::new(), BTreeMap::<(String, String), usize>::new());
        let mut others = BTreeSet::new();
        for event in record::events(&self.site)? {
            match event {
                // What goes to another target is looked at where that is tested.
                Event::Statement { id, target, .. } if *target != *"shop" => drop(others.insert(id)),
                Event::Statement { id, effects, .. } => {
                    let mut places = effects.iter().filter_map(|effect| match &effect.object {
                        Object::Route(route) => Some((route.method.to_string(), route.path.to_string())),
                        Object::GraphqlField(field) => Some(("POST".to_owned(), field.route.to_string())),
                        Object::GrpcMethod(method) => Some(("POST".to_owned(), method.route.to_string())),
                        Object::RpcMethod(method) => Some(("POST".to_owned(), method.route.to_string())),
                        Object::GrpcCall(call) => Some(("POST".to_owned(), call.method.route.to_string())),
                        Object::RpcCall(call) => Some(("POST".to_owned(), call.method.route.to_string())),
                        Object::Mcp(item) => Some(("POST".to_owned(), item.route.to_string())),
                        _ => None,
                    });
                    routes.insert(id, places.next_back().context("a request without a route")?);
                }
                Event::Decided { statements, outcome: Outcome::Allow, .. } => {
                    for id in statements.iter().filter(|id| !others.contains(id)) {
                        let place = routes.get(id).context("a request without its statement")?;
                        *permitted.entry(place.clone()).or_default() += 1;
                    }
                }
                _ => {}
            }
        }
        for one in reached.into_iter().filter(|one| !one.refused) {
            let path = one.path.split('?').next().unwrap_or_default().to_owned();
            let left = permitted.get_mut(&(one.method.clone(), path)).filter(|left| **left > 0);
            *left.with_context(|| format!("executed and not permitted: {one:?}"))? -= 1;
        }
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the log of Sluice:\n{}", self.site.log());
            return;
        }
        self.verify().expect("the API executed what the journal permitted");
    }
}

fn revision(api: &Api, tuning: &Tuning) -> Vec<(&'static str, String)> {
    let mut address = match (&tuning.address, tuning.api.two || tuning.api.mutual) {
        (Some(address), _) => format!("address = \"{address}\"\ntls = \"off\""),
        (None, false) => format!("address = \"{}\"\ntls = \"off\"", api.address()),
        (None, true) => {
            format!("address = \"localhost:{}\"\nca_file = \"{}\"", api.address().port(), api.ca().display())
        }
    };
    if tuning.api.mutual {
        let (cert, key) = (api.client("client.crt"), api.client("client.key"));
        address.push_str(&format!(
            "\nclient_cert = \"{}\"\nclient_key = {{ file = \"{}\" }}",
            cert.display(),
            key.display()
        ));
    }
    let credential = if let Some(credential) = &tuning.credential {
        credential.clone()
    } else if tuning.api.bearer {
        format!("{{ bearer = {{ file = \"{}\" }} }}", api.bearer_file().display())
    } else {
        "{ none = true }".to_owned()
    };
    let target = format!(
        "[shop]\nprotocol = \"http\"\n{address}\nhosts = [\"localhost\"]\npath_prefix = \"/shop\"\n\
         credential = {credential}\nroutes = [\"GET /v1/customers/{{id}}\", \"DELETE /v1/customers/{{id}}\", \
         \"POST /v1/refunds\"]\n{}\n{}\n",
        tuning.target, tuning.targets
    );
    let files = vec![
        ("targets.toml", target),
        ("classification.toml", CLASSIFICATION.to_owned()),
        ("policies/00-baseline.cedar", BASELINE.to_owned()),
        ("policies/10-shop.cedar", POLICIES.to_owned()),
        ("policies/20-more.cedar", tuning.policies.clone()),
    ];
    files.into_iter().chain(tuning.apis.clone()).collect()
}

/// Reads what curl printed: one or more heads, then the body.
pub(crate) fn answer(output: &Output) -> Result<Answer> {
    ensure!(output.status.success(), "{output:?}");
    let mut rest = output.stdout.as_str();
    loop {
        let (head, behind) = rest.split_once("\r\n\r\n").with_context(|| format!("no head: {output:?}"))?;
        rest = behind;
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let version = first.next().and_then(|version| version.strip_prefix("HTTP/")).context("no version")?.to_owned();
        let status: u16 = first.next().context("no status")?.parse()?;
        if status < 200 {
            continue;
        }
        let fields = lines.filter_map(|line| line.split_once(": "));
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        return Ok(Answer { status, version, fields, body: rest.to_owned() });
    }
}
