//! The objects of the archive: put, read back, read, removed.

use std::io;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use hyper::body::Bytes;
use model::id::Digest;
use model::secret::Secret;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Name;
use object_store::{ObjectStoreExt, PutPayload, RetryConfig};
use store::config::ArchiveConfig;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::http::Carrier;

/// How much is sent and read at a time; also the parts of an upload, of which S3 takes ten thousand.
pub(super) const PIECE: usize = 8 << 20;

/// For one request; a piece has to pass in it.
const DEADLINE: Duration = Duration::from_secs(120);

/// Why something is not in the archive, or cannot be had from it.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The server, or the way to it: the beginning of what was said. Says no secret: what is signed is in headers.
    #[error("{0}")]
    Server(String),
    /// What is stored is not what was sent.
    #[error("what is stored as {0} is not what was sent")]
    Differs(String),
    /// The local file.
    #[error("{0}")]
    Local(#[from] io::Error),
    /// The secret of the access key.
    #[error("the secret of [archive]: {0}")]
    Secret(#[from] store::credential::CredentialError),
    /// It cannot be recorded.
    #[error(transparent)]
    NotRecorded(#[from] crate::recorder::NotRecorded),
    /// The process ends.
    #[error("Sluice is stopping")]
    Ended,
}

impl From<object_store::Error> for ArchiveError {
    fn from(error: object_store::Error) -> Self {
        // It holds what the server answered, which may be anything.
        let told = error.to_string();
        Self::Server(
            told.chars().map(|symbol| if symbol.is_control() { ' ' } else { symbol }).take(MOST_SAID).collect(),
        )
    }
}

/// How much of what a server says is passed on, in characters.
const MOST_SAID: usize = 300;

/// What a file or an object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Content {
    pub(super) digest: Digest,
    pub(super) length: u64,
}

/// A bucket, and what opens it.
#[derive(Debug)]
pub(super) struct Bucket {
    s3: AmazonS3,
    piece: usize,
}

impl Bucket {
    pub(super) fn open(config: &ArchiveConfig, secret: &Secret<String>, piece: usize) -> Result<Self, ArchiveError> {
        let carrier = Carrier { ca: config.ca_file.clone(), most: piece.saturating_add(1 << 20), deadline: DEADLINE };
        // Sluice tries again by itself, and looks first whether it is there already.
        let once = RetryConfig { max_retries: 0, retry_timeout: DEADLINE, ..RetryConfig::default() };
        let s3 = AmazonS3Builder::new()
            .with_bucket_name(&config.bucket)
            .with_endpoint(&config.endpoint)
            .with_region(&config.region)
            .with_access_key_id(&config.key_id)
            .with_secret_access_key(secret.expose())
            .with_allow_http(config.endpoint.starts_with("http://"))
            .with_retry(once)
            // Not every server has the other way, which wants MD5 besides.
            .with_disable_bulk_delete(true)
            .with_http_connector(carrier)
            .build()?;
        Ok(Self { s3, piece })
    }

    /// Has the file in the archive, and knows it: what is stored there is read back.
    pub(super) async fn keep(&self, object: &str, file: &Path, content: Content) -> Result<(), ArchiveError> {
        // An earlier attempt may have succeeded, and its answer been lost.
        if self.holds(object, content).await? {
            return Ok(());
        }
        self.put(object, file, content.length).await?;
        if self.holds(object, content).await? { Ok(()) } else { Err(ArchiveError::Differs(object.to_owned())) }
    }

    /// Whether the object is there, and is this.
    pub(super) async fn holds(&self, object: &str, content: Content) -> Result<bool, ArchiveError> {
        let Some(length) = self.length(object).await? else { return Ok(false) };
        if length != content.length {
            return Ok(false);
        }
        let mut digest = Context::new(&SHA256);
        let mut at = 0;
        while at < length {
            let piece = self.read(object, at, length, self.piece).await?;
            digest.update(&piece);
            at = at.saturating_add(size(piece.len()));
        }
        Ok(finished(digest) == content.digest)
    }

    /// How long the object is, if it is there.
    pub(super) async fn length(&self, object: &str) -> Result<Option<u64>, ArchiveError> {
        match self.s3.head(&name(object)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// So much of an object of this length, from `at` on, or what there is of it.
    pub(super) async fn read(&self, object: &str, at: u64, length: u64, most: usize) -> Result<Bytes, ArchiveError> {
        let end = at.saturating_add(size(most.min(self.piece))).min(length);
        let piece = self.s3.get_range(&name(object), at..end).await?;
        // Otherwise somebody could have us ask for a byte at a time, for ever.
        if size(piece.len()) == end.saturating_sub(at) {
            Ok(piece)
        } else {
            Err(ArchiveError::Differs(object.to_owned()))
        }
    }

    pub(super) async fn remove(&self, object: &str) -> Result<(), ArchiveError> {
        match self.s3.delete(&name(object)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn put(&self, object: &str, file: &Path, length: u64) -> Result<(), ArchiveError> {
        let mut file = File::open(file).await?;
        if length <= size(self.piece) {
            let bytes = piece(&mut file, self.piece).await?;
            self.s3.put(&name(object), PutPayload::from(bytes)).await?;
            return Ok(());
        }
        let mut upload = self.s3.put_multipart(&name(object)).await?;
        let sent = async {
            loop {
                let bytes = piece(&mut file, self.piece).await?;
                if bytes.is_empty() {
                    break;
                }
                upload.put_part(PutPayload::from(bytes)).await?;
            }
            upload.complete().await.map_err(ArchiveError::from)
        };
        let sent = sent.await;
        if sent.is_err() {
            // What was sent of it is no object; the server may keep it until a rule of the bucket removes it.
            let _ = upload.abort().await;
        }
        sent.map(drop)
    }
}

/// So many bytes of a file, or what is left of it.
async fn piece(file: &mut File, most: usize) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    file.take(size(most)).read_to_end(&mut bytes).await?;
    Ok(bytes.into())
}

/// What a file is. Blocks.
pub(super) fn content(file: &Path) -> io::Result<Content> {
    use std::io::Read;
    let mut file = std::fs::File::open(file)?;
    let (mut digest, mut length, mut bytes) = (Context::new(&SHA256), 0u64, vec![0; 256 * 1024]);
    loop {
        let count = file.read(&mut bytes)?;
        if count == 0 {
            return Ok(Content { digest: finished(digest), length });
        }
        digest.update(bytes.get(..count).unwrap_or_default());
        length = length.saturating_add(size(count));
    }
}

fn finished(digest: Context) -> Digest {
    let mut found = Digest::default();
    found.0.iter_mut().zip(digest.finish().as_ref()).for_each(|(to, from)| *to = *from);
    found
}

fn name(object: &str) -> Name {
    Name::from(object)
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
