//! `docs/supported.md` says what the tables in the code say.

use russet_tensor::{AffineBits, FpFormat, GgmlType};

/// Set this variable to write the page instead of comparing it.
const UPDATE: &str = "RUSSET_UPDATE_DOCS";

#[test]
fn the_page_is_what_the_tables_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/supported.md");
    let page = page();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, page, "run `{UPDATE}=1 cargo test -p russet-decoder supported`");
}

fn page() -> String {
    let mut page = String::from(
        "# What Russet reads\n\n\
         Generated from the tables in the code; \
         `crates/decoder/tests/architectures/supported.rs` writes and checks it.\n\n\
         ## Architectures\n\n| name | `model_type` or `general.architecture` |\n|---|---|\n",
    );
    for (name, model_types) in russet_decoder::architectures() {
        let types: Vec<String> = model_types.iter().map(|t| format!("`{t}`")).collect();
        page += &format!("| {name} | {} |\n", types.join(", "));
    }
    let bits: Vec<String> = AffineBits::ACCEPTED.iter().map(u8::to_string).collect();
    let modes = [FpFormat::Mxfp4, FpFormat::Mxfp8, FpFormat::Nvfp4].map(FpFormat::name);
    page += &format!(
        "\nEach runs from every format below.\n\n\
         ## Formats\n\n\
         - MLX directories: affine {} bits in groups of 32, 64 or 128; {}; unquantised.\n\
         - Hugging Face directories: F32, F16, BF16.\n\
         - GGUF versions 2 and 3: {}.\n",
        bits.join(", "),
        modes.join(", "),
        GgmlType::accepted_names().join(", "),
    );
    page
}
