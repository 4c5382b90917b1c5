//! Says where the pages of the console are missing. They are built by npm, and a program without them is one all the same.

use std::path::Path;

fn main() {
    let built = Path::new("../../console/dist");
    println!("cargo:rerun-if-changed={}", built.display());
    if !built.join("index.html").exists() {
        println!(
            "cargo:warning=the console is NOT built in: run `npm ci --prefix console && npm run build --prefix console`"
        );
    }
}
