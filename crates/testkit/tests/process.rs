//! The launcher of `sluice`, with a stand-in program that does what `sluice serve` promises and nothing else.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use testkit::command::development_directory;
use testkit::process::{Options, SluiceProcess};
use testkit::wait::eventually_blocking;

/// Binds, says where, is ready at the third look, and ends with status 7 on SIGTERM.
const STAND_IN: &str = r#"
import http.server, json, os, signal, sys
looks = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global looks
        looks += 1
        self.send_response(200 if looks > 2 else 503)
        self.end_headers()
        self.wfile.write(self.path.encode())
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
with open(os.environ["DATA"] + "/addresses.json", "w") as out:
    json.dump({"admin": "127.0.0.1:%d" % server.server_port, "postgres": "127.0.0.1:1"}, out)
print("serving", sys.argv[1:], file=sys.stderr, flush=True)
if os.environ.get("FAIL"):
    sys.exit("cannot serve")
server.serve_forever()
"#;

fn options(home: &Path) -> Result<Options> {
    let binary = home.join("sluice");
    let python = development_directory().join("venv/bin/python");
    std::fs::write(&binary, format!("#!{}{STAND_IN}", python.display()))?;
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755))?;
    let data_directory = home.join("data");
    std::fs::create_dir_all(&data_directory)?;
    let environment = vec![("DATA".into(), data_directory.clone().into())];
    Ok(Options { binary, config: home.join("sluice.toml"), data_directory, environment })
}

#[test]
fn it_starts_is_asked_to_end_is_killed_and_ends_with_its_value() -> Result<()> {
    let home = tempfile::tempdir()?;
    let options = options(home.path())?;

    let sluice = SluiceProcess::start(&options)?;
    assert_eq!(sluice.get("/metrics")?, (200, "/metrics".to_owned()));
    assert_eq!(sluice.address("postgres")?.port(), 1);
    assert!(sluice.log().contains("serving ['serve', '--config'"), "{}", sluice.log());
    assert_eq!(sluice.stop()?, 7);

    let sluice = SluiceProcess::start(&options)?;
    let process = format!("/proc/{}", sluice.pid());
    sluice.kill()?;
    assert!(!Path::new(&process).exists());

    let sluice = SluiceProcess::start(&options)?;
    assert!(sluice.is_running());
    let process = format!("/proc/{}", sluice.pid());
    drop(sluice);
    let gone = || Ok((!Path::new(&process).exists()).then_some(()));
    eventually_blocking(Duration::from_secs(10), "its end", gone)
}

#[test]
fn a_failed_start_shows_its_log() -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut options = options(home.path())?;
    options.environment.push(("FAIL".into(), "1".into()));
    let error = SluiceProcess::start(&options).err().expect("it fails");
    let text = format!("{error:#}");
    assert!(text.contains("cannot serve") && text.contains("it has ended"), "{text}");
    Ok(())
}
