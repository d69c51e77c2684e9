//! Pre-tokenizers of byte-level BPE vocabularies, by their `tokenizer.ggml.pre` name.
//!
//! The names and the regular expressions behind them are facts of llama.cpp (`llama-vocab.cpp`)
//! and of the `tokenizer.json` files it took them from. Where llama.cpp had to approximate an
//! expression (`(?i:…)`, `\p{Lu}`), the original is used.

use crate::Error;

/// How a byte-level BPE vocabulary splits text into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pre {
    /// Applied one after the other, each to the pieces that the one before left.
    pub(crate) regexes: &'static [&'static str],
    /// A word that is a token is that token, whatever the merges say.
    pub(crate) ignore_merges: bool,
    /// Whether BOS is added when the file does not say.
    pub(crate) add_bos: bool,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const QWEN35: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}",
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const GPT4O: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const KIMI_K2: &str = concat!(
    r"[\p{Han}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*",
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+",
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const DEEPSEEK_WORDS: &str = concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"##,
    r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*",
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const CJK: &str = r"[\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+";
/// Han, and everything from U+0800 to U+4E00 or from Hangul on, as DeepSeek's files have it.
const DEEPSEEK_CJK: &str = r"[\x{4e00}-\x{9fa5}\x{0800}-\x{4e00}\x{ac00}-\x{d7ff}]+";
/// The cased letters of an older Unicode, as DeepSeek-LLM's file spells them out.
const DEEPSEEK_LETTERS: &str = concat!(
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕ",
    r"ἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\x{1f7d}ᾀ-ᾴᾶ-ᾼ\x{1fbe}ῂ-ῄῆ-ῌῐ-\x{1fd3}ῖ-\x{1fdb}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\x{2126}ℨ",
    r"\x{212a}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"
);
const DIGIT_GROUPS: &str = r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))";

const fn pre(regexes: &'static [&'static str]) -> Pre {
    Pre { regexes, ignore_merges: false, add_bos: false }
}

const fn whole_words(regexes: &'static [&'static str]) -> Pre {
    Pre { regexes, ignore_merges: true, add_bos: false }
}

const fn llama3_like(regexes: &'static [&'static str]) -> Pre {
    Pre { regexes, ignore_merges: true, add_bos: true }
}

/// Every accepted name with what it stands for.
const TABLE: &[(&[&str], Pre)] = &[
    (&["default"], pre(&[r"[\p{P}$+<=>^~|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"])),
    (
        &[
            "gpt-2",
            "phi-2",
            "jina-es",
            "jina-de",
            "jina-v2-es",
            "jina-v2-de",
            "jina-v1-en",
            "jina-v2-code",
            "roberta-bpe",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
            "exaone4",
            "gpt-neox",
        ],
        pre(&[GPT2]),
    ),
    (
        &[
            "llama3",
            "llama-v3",
            "llama-bpe",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
            "jina-v5-nano",
        ],
        llama3_like(&[LLAMA3]),
    ),
    (&["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"], pre(&[LLAMA3])),
    (
        &[
            "qwen2",
            "deepseek-r1-qwen",
            "kormo",
            "f2llmv2",
            "megrez",
            "stablelm2",
            "hunyuan",
            "solar-open",
            "grok-2",
        ],
        pre(&[QWEN2]),
    ),
    (&["qwen35"], pre(&[QWEN35])),
    (
        &[
            "smollm",
            "starcoder",
            "refact",
            "command-r",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        pre(&[r"\p{N}", GPT2]),
    ),
    (
        &["deepseek-llm"],
        pre(&[
            r"[\r\n]",
            DEEPSEEK_LETTERS,
            r"\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+",
            r"\s+$",
            DEEPSEEK_CJK,
            r"\p{N}+",
        ]),
    ),
    (&["deepseek-coder"], pre(&[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_CJK, r"\p{N}"])),
    (
        &["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
        pre(&[r"\p{N}{1,3}", CJK, DEEPSEEK_WORDS]),
    ),
    (&["falcon"], pre(&[r"[\p{P}$+<=>^~|`]+", GPT2, r"[0-9][0-9][0-9]"])),
    (&["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], pre(&[GPT4O])),
    (&["granite-embed-multi-97m"], whole_words(&[GPT4O])),
    (&["tekken"], llama3_like(&[TEKKEN])),
    (&["tiny_aya", "cohere2moe"], pre(&[r"\d{1,3}(?=(?:\d{3})*\b)", GPT4O])),
    (&["kimi-k2"], pre(&[KIMI_K2])),
    (&["superbpe"], pre(&[r"\p{N}+", r"(?=(\d{3})+(?!\d))"])),
    (
        &["bailingmoe", "bailingmoe2", "llada-moe"],
        pre(&[concat!(
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}",
            r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
        )]),
    ),
    (
        &["seed-coder"],
        pre(&[concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}",
            r"| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
        )]),
    ),
    (
        &["minicpm5"],
        whole_words(&[
            r"\p{N}{1,3}",
            concat!(
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+",
                r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            ),
        ]),
    ),
    (
        &["afmoe"],
        pre(&[
            DIGIT_GROUPS,
            concat!(
                r"[\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{f900}-\x{faff}\x{3040}-\x{309f}",
                r"\x{30a0}-\x{30ff}\x{ff65}-\x{ff9f}\x{2f00}-\x{2fdf}\x{0e40}-\x{0e7f}",
                r"\x{0e80}-\x{0eff}\x{1780}-\x{17ff}\x{1000}-\x{109f}\x{aa60}-\x{aa7f}",
                r"\x{a9e0}-\x{a9ff}\x{ac00}-\x{d7af}\x{1100}-\x{11ff}]+"
            ),
            DEEPSEEK_WORDS,
        ]),
    ),
    (&["laguna"], pre(&[r"[^\n]+|[\n]+", QWEN2])),
    (
        &["exaone-moe"],
        pre(&[concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
            r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}",
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
        )]),
    ),
    (&["poro-chat", "bloom", "gpt3-finnish"], pre(&[r" ?[^(\s|.,!?…。，、।۔،)]+"])),
    (&["viking"], pre(&[r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}"])),
];

/// Finds a pre-tokenizer by name; an absent one is `default`, as in llama.cpp.
pub(crate) fn find(name: Option<&str>) -> Result<Pre, Error> {
    let name = name.unwrap_or("default");
    TABLE.iter().find(|(names, _)| names.contains(&name)).map(|(_, pre)| *pre).ok_or_else(|| {
        let accepted: Vec<_> = TABLE.iter().flat_map(|(names, _)| names.iter().copied()).collect();
        Error::UnknownPre { found: name.to_owned(), accepted: accepted.join(", ") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expression_compiles() {
        for (names, pre) in TABLE {
            for regex in pre.regexes {
                let compiled = tokenizers::utils::SysRegex::new(regex);
                assert!(compiled.is_ok(), "{names:?}: {regex}: {:?}", compiled.err());
            }
        }
    }

    #[test]
    fn digits_group_from_the_right() {
        let regex = fancy_regex::Regex::new(DIGIT_GROUPS).unwrap();
        let found: Vec<_> =
            regex.find_iter("12345678 1 2345").map(|m| m.unwrap().as_str()).collect();
        assert_eq!(found, ["12", "345", "678", "1", "2", "345"]);
    }

    #[test]
    fn unknown_name_lists_what_is_accepted() {
        let message = find(Some("nonesuch")).unwrap_err().to_string();
        assert!(message.contains("nonesuch") && message.contains("qwen2"), "{message}");
    }
}
