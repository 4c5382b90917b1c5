//! The fuzz targets' own code, without a fuzzer: see [`testkit::mutation`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

use std::path::{Path, PathBuf};

use testkit::mutation::over_seeds;

/// How many mutations of the seeds each target is tried with: a few seconds of an unoptimised build.
const MUTATIONS: usize = 4000;

#[allow(unreachable_pub, reason = "the fuzz targets call them from outside")]
#[path = "../fuzz/bodies.rs"]
mod bodies;

fn seeds(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target)
}

#[test]
fn saml_assertions() {
    for file in std::fs::read_dir(seeds("saml_assertion")).unwrap() {
        let path = file.unwrap().path();
        assert!(bodies::judged(&std::fs::read(&path).unwrap()).is_some(), "{} is not accepted", path.display());
    }
    over_seeds(&seeds("saml_assertion"), MUTATIONS, bodies::saml_assertion);
}

#[test]
fn saml_metadata() {
    over_seeds(&seeds("saml_metadata"), MUTATIONS, bodies::saml_metadata);
}
