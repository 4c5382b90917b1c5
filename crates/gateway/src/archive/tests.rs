use std::path::PathBuf;
use std::time::Duration;

use model::secret::Secret;
use store::config::CredentialSource;
use testkit::s3::{Act, Fault, S3};

use super::bucket::{Content, content};
use super::*;

const OBJECT: &str = "some/prefix/tapes/1/00001.tapez";
/// How large the pieces are here, so that a small file is sent in several.
const SMALL: usize = 64 * 1024;

/// A file of so many pieces and a bit, and a bucket for it.
struct Rig {
    s3: S3,
    bucket: Bucket,
    file: PathBuf,
    is: Content,
    _dir: tempfile::TempDir,
}

fn rig(pieces: usize) -> Rig {
    let s3 = S3::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("part.tapez");
    let bytes: Vec<u8> = (0..(pieces * SMALL + 1000) / 8).flat_map(|at| (at * at).to_le_bytes()).collect();
    std::fs::write(&file, bytes).unwrap();
    let config = ArchiveConfig {
        bucket: "bucket".into(),
        prefix: "some/prefix".into(),
        endpoint: format!("http://{}", s3.address()),
        region: "us-east-1".into(),
        key_id: "id".into(),
        secret: CredentialSource::Env("NONE".into()),
        ca_file: None,
        keep_local: Duration::ZERO,
    };
    let bucket = Bucket::open(&config, &Secret::new("secret".into()), SMALL).unwrap();
    let is = content(&file).unwrap();
    Rig { s3, bucket, file, is, _dir: dir }
}

impl Rig {
    async fn keep(&self) -> Result<(), ArchiveError> {
        self.bucket.keep(OBJECT, &self.file, self.is).await
    }

    /// Whether what is stored is what the file is.
    fn is_stored(&self) -> bool {
        self.s3.objects().get(OBJECT).is_some_and(|stored| *stored == std::fs::read(&self.file).unwrap())
    }
}

#[tokio::test]
async fn rc_11_a_file_is_stored_whole_in_one_piece_or_in_parts() {
    for (pieces, parts) in [(0, 0), (1, 2), (3, 4)] {
        let rig = rig(pieces);
        rig.keep().await.unwrap();
        assert!(rig.is_stored() && rig.s3.open_uploads() == 0);
        assert_eq!((rig.s3.count(Act::Part), rig.s3.count(Act::Complete)), (parts, usize::from(parts > 0)));
        assert!(rig.s3.count(Act::Get) > pieces, "all of it is read back");
        rig.keep().await.unwrap();
        assert_eq!(rig.s3.count(Act::Put) + rig.s3.count(Act::Complete), 1, "and not sent twice");
    }
}

/// Whatever goes wrong, at whichever request, once or for long: it is either stored whole, or said not to be.
#[tokio::test]
async fn rc_11_every_fault_of_every_request_is_noticed_and_tried_again() {
    use Fault::{Breaks, Fails, LosesReply, Rambles, StoresHalf, StoresWrong, Throttles};
    let faults = [Fails, Rambles, Throttles, LosesReply, StoresWrong, StoresHalf, Breaks];
    for pieces in [0, 2] {
        let acts: &[Act] = if pieces == 0 {
            &[Act::Head, Act::Put, Act::Get]
        } else {
            &[Act::Head, Act::Begin, Act::Part, Act::Complete, Act::Get]
        };
        for act in acts.iter().copied() {
            for fault in faults {
                for before in 0..3 {
                    let rig = rig(pieces);
                    let planned = std::iter::repeat_n(None, before).chain([Some(fault), Some(fault)]);
                    rig.s3.plan(act, planned);
                    let mut attempts = 0;
                    while rig.keep().await.is_err() {
                        attempts += 1;
                        assert!(attempts < 6, "{act:?} {fault:?}: it never succeeds");
                    }
                    assert!(rig.is_stored(), "{act:?} {fault:?} after {before}: it was believed");
                }
            }
        }
    }
}

/// What a server says is in the log and in answers of the admin API: the beginning of it, and nothing that drives a terminal.
#[tokio::test]
async fn rc_11_what_a_server_says_is_passed_on_in_part() {
    let rig = rig(0);
    rig.s3.plan(Act::Put, [Some(Fault::Rambles)]);
    let told = rig.keep().await.unwrap_err().to_string();
    assert!(
        told.chars().count() <= 300
            && told.contains("500")
            && !told.contains("<a>")
            && !told.contains(char::is_control),
        "{told:?}"
    );
}

#[tokio::test]
async fn rc_11_what_is_stored_wrong_is_not_believed_however_often() {
    let rig = rig(2);
    rig.s3.plan(Act::Part, std::iter::repeat_n(Some(Fault::StoresWrong), 9));
    for _ in 0..3 {
        assert!(matches!(rig.keep().await, Err(ArchiveError::Differs(_))));
        assert!(!rig.is_stored());
    }
    rig.keep().await.unwrap();
    assert!(rig.is_stored());
}

/// A success whose answer is lost is found, and not sent again.
#[tokio::test]
async fn rc_11_a_success_whose_reply_was_lost_is_found() {
    for (pieces, act) in [(0, Act::Put), (2, Act::Complete)] {
        let rig = rig(pieces);
        rig.s3.plan(act, [Some(Fault::LosesReply)]);
        rig.keep().await.unwrap_err();
        rig.keep().await.unwrap();
        assert_eq!(rig.s3.count(act), 1);
    }
}

/// What a broken upload left is given up, and is no object.
#[tokio::test]
async fn rc_11_a_partial_upload_is_given_up() {
    let rig = rig(3);
    rig.s3.plan(Act::Part, [None, Some(Fault::Fails)]);
    rig.keep().await.unwrap_err();
    assert_eq!((rig.s3.count(Act::Abort), rig.s3.open_uploads(), rig.s3.objects().len()), (1, 0, 0));
}
