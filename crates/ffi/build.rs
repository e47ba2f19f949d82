//! Gives the shared library its SONAME: with all three numbers until 1.0, because until then every
//! release may change the ABI.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        let version = env!("CARGO_PKG_VERSION");
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,librampmeter.so.{version}");
    }
}
