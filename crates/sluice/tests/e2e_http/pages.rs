//! Pages in a browser, which adds of itself who its user is: by a certificate, or by the proxy that it was told of.

use anyhow::Result;
use testkit::spiffe::Authority;

use crate::ground::{Answer, CALLER, Ground, Tuning, answer};
use crate::proxying::Proxied;

const ORIGINS: &str = "origins = [\"https://app.example\"]\n";

/// What browsers say beside a request, and whether it may be asked then.
const SAID: [(&[&str], bool); 17] = [
    (&[], true),
    (&["Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"], true),
    (&["Origin: https://localhost", "Sec-Fetch-Site: same-origin"], true),
    (&["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: no-cors"], true),
    (&["Origin: https://app.example", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors"], true),
    (&["Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors"], false),
    // Browsers that say nothing of where the page is; and a page that hides it.
    (&["Origin: https://evil.example"], false),
    (&["Origin: null"], false),
    (&["Origin: http://localhost"], false),
    (&["Origin: https://localhost", "Origin: https://evil.example"], false),
    // An image, a script, a form in a frame: there is no `Origin` then.
    (&["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"], false),
    (&["Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors"], false),
    (&["Sec-Fetch-Site: cross-site"], false),
    (&["Sec-Fetch-Site: something-new"], false),
    (&["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"], false),
    (&["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Mode: no-cors"], false),
    // Whoever says neither of a page has no link that is followed.
    (&["Origin: https://evil.example", "Sec-Fetch-Mode: navigate"], false),
];

/// A link elsewhere that somebody follows.
const FOLLOWED: [&str; 2] = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"];

/// Asks with each of those, and with a link that is followed. Returns how many came through.
fn judge(ask: impl Fn(&[&str]) -> Result<Answer>, more: &[&str]) -> Result<usize> {
    let mut passed = 0;
    let with = |said: &[&str], method: &str| {
        let fields = said.iter().flat_map(|field| ["-H", field]);
        ask(&fields.chain(more.iter().copied()).chain(["-X", method]).collect::<Vec<_>>())
    };
    for method in ["GET", "POST"] {
        let cases = SAID.iter().copied().chain([(&FOLLOWED[..], method == "GET")]);
        for (said, may_ask) in cases {
            let answer = with(said, method)?;
            if may_ask {
                assert_eq!(answer.status, 200, "{method} {said:?}: {answer:?}");
                passed += 1;
            } else {
                let told = answer.problem(403);
                assert!(told.starts_with("A page of this origin"), "{method} {said:?}: {told}");
            }
        }
    }
    Ok(passed)
}

#[test]
fn ht_01_a_page_elsewhere_does_not_ask_as_who_opened_its_connection() -> Result<()> {
    let proxied = Proxied::tuned(Tuning { target: ORIGINS.to_owned(), ..Tuning::default() })?;
    let url = "https://localhost/echo";
    let passed = judge(|arguments| proxied.ask(CALLER, url, arguments), &[])?;
    // A token that is somebody else's says no more of who asks.
    let others = ["-H", "Authorization: Bearer opaque"];
    let passed = passed + judge(|arguments| proxied.ask(CALLER, url, arguments), &others)?;
    assert_eq!(proxied.ground.api.reached()?.len(), passed);
    proxied.refused("a page of another origin")?;
    // No page has the token of its user.
    let own = format!("Authorization: Bearer {}", proxied.ground.token("frank", CALLER)?);
    assert_eq!(proxied.ask(CALLER, url, &["-H", &own, "-H", "Origin: https://evil.example"])?.status, 200);
    Ok(())
}

#[test]
fn ht_01_a_page_elsewhere_does_not_ask_by_the_certificate_of_a_browser() -> Result<()> {
    let (home, root) = (tempfile::tempdir()?, Authority::generate("prod.acme")?);
    let bundle = home.path().join("prod.pem");
    std::fs::write(&bundle, root.certificate_pem())?;
    let sluice_toml = format!(
        "[[trust_domain]]\nname = \"prod.acme\"\nalias = \"prod\"\naudience = \"sluice\"\n\
         groups = {{ etl = [\"/ns/etl/sa/*\"] }}\nbundle_file = \"{}\"\n",
        bundle.display()
    );
    let policies = "@id(\"etl-works\")\npermit (principal in Group::\"prod|etl\", \
                    action in [Action::\"connect\", Action::\"read\", Action::\"write\"], resource in Target::\"shop\");\n";
    let tuning = Tuning { target: ORIGINS.to_owned(), policies: policies.to_owned(), sluice_toml, ..Tuning::default() };
    let ground = Ground::tuned(tuning)?;
    let files = root.svid("spiffe://prod.acme/ns/etl/sa/loader", |_| ())?.write(home.path(), "svid")?;
    // It is reached by the name without a port, as pages of its own are.
    let port = ground.site.process()?.address("http")?.port();
    let elsewhere = format!("localhost:443:localhost:{port}");
    let (certificate, key) = (files.certificate.display().to_string(), files.key.display().to_string());
    let more = ["--connect-to", &elsewhere, "--cert", &certificate, "--key", &key];
    let ask = |arguments: &[&str]| {
        let mut command = ground.curl(&["-D", "-", "-o", "-"])?;
        command.args(arguments).arg("https://localhost/echo");
        answer(&testkit::command::run(command, b"")?)
    };
    let passed = judge(ask, &more)?;
    assert_eq!(ground.api.reached()?.len(), passed);
    let own = format!("Authorization: Bearer {}", ground.token("erin", CALLER)?);
    assert_eq!(ask(&[&more[..], &["-H", &own, "-H", "Origin: https://evil.example"]].concat())?.status, 200);
    Ok(())
}
