//! Which file names of a hub's answer may be created on this machine.

/// Whether `name` is a plain relative path: created below a folder, it stays below that folder on
/// every platform. A name that is merely unusual is refused as well; real repositories have none.
pub(crate) fn is_safe(name: &str) -> bool {
    name.len() <= 1024 && name.split('/').count() <= 8 && name.split('/').all(is_safe_part)
}

fn is_safe_part(part: &str) -> bool {
    let dotted = part == "." || part == ".." || part.ends_with(['.', ' ']) || part.starts_with(' ');
    let length_fits = (1..=255).contains(&part.len());
    length_fits && !dotted && part.chars().all(is_safe_char) && !is_windows_device(part)
}

/// Excludes separators, drive letters, wildcards, control characters, `%` (a name that some later
/// step may decode into `..`) and look-alikes of dots and slashes, which are not alphanumeric.
fn is_safe_char(c: char) -> bool {
    const ASCII: &str = "._-+=@ ()[]{},!#$&'~^;";
    c.is_alphanumeric() || (c.is_ascii() && ASCII.contains(c))
}

fn is_windows_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let numbered = |name: &str| {
        stem.strip_prefix(name)
            .is_some_and(|n| n.len() == 1 && n.chars().all(|c| c.is_ascii_digit()))
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}
