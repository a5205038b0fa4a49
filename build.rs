//! Link settings that a Node addon needs; nothing for the plain library.

fn main() {
    #[cfg(feature = "node")]
    napi_build::setup();
}
