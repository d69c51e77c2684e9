//! The tensor types of GGUF files, by id. Source: ggml's `enum ggml_type` and block structs (facts
//! of the format).

use std::fmt;

/// A tensor type that Russet reads from GGUF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(non_camel_case_types, reason = "the names of the format")]
pub enum GgmlType {
    /// binary32
    F32,
    /// binary16
    F16,
    /// bfloat16
    BF16,
    /// 32 × 4 bits, f16 scale
    Q4_0,
    /// 32 × 4 bits, f16 scale and minimum
    Q4_1,
    /// 32 × 5 bits, f16 scale
    Q5_0,
    /// 32 × 5 bits, f16 scale and minimum
    Q5_1,
    /// 32 × 8 bits signed, f16 scale
    Q8_0,
    /// 256 × 2 bits, 16 sub-blocks with 4-bit scales and minimums
    Q2_K,
    /// 256 × 3 bits, 16 sub-blocks with 6-bit scales
    Q3_K,
    /// 256 × 4 bits, 8 sub-blocks with 6-bit scales and minimums
    Q4_K,
    /// 256 × 5 bits, 8 sub-blocks with 6-bit scales and minimums
    Q5_K,
    /// 256 × 6 bits, 16 sub-blocks with 8-bit scales
    Q6_K,
    /// 32 × 4 bits through a table, f16 scale
    IQ4_NL,
    /// 256 × 4 bits through a table, 8 sub-blocks with 6-bit scales
    IQ4_XS,
    /// 32 × E2M1, E8M0 scale
    MXFP4,
}

/// Every readable type: id in the file, name, elements of a block, bytes of a block.
const READABLE: [(u32, GgmlType, &str, usize, usize); 16] = [
    (0, GgmlType::F32, "F32", 1, 4),
    (1, GgmlType::F16, "F16", 1, 2),
    (30, GgmlType::BF16, "BF16", 1, 2),
    (2, GgmlType::Q4_0, "Q4_0", 32, 18),
    (3, GgmlType::Q4_1, "Q4_1", 32, 20),
    (6, GgmlType::Q5_0, "Q5_0", 32, 22),
    (7, GgmlType::Q5_1, "Q5_1", 32, 24),
    (8, GgmlType::Q8_0, "Q8_0", 32, 34),
    (10, GgmlType::Q2_K, "Q2_K", 256, 84),
    (11, GgmlType::Q3_K, "Q3_K", 256, 110),
    (12, GgmlType::Q4_K, "Q4_K", 256, 144),
    (13, GgmlType::Q5_K, "Q5_K", 256, 176),
    (14, GgmlType::Q6_K, "Q6_K", 256, 210),
    (20, GgmlType::IQ4_NL, "IQ4_NL", 32, 18),
    (23, GgmlType::IQ4_XS, "IQ4_XS", 256, 136),
    (39, GgmlType::MXFP4, "MXFP4", 32, 17),
];

/// Types that exist but are not read, so that a refusal can name them.
const UNREADABLE: [(u32, &str); 24] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (33, "Q4_0_8_8"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (36, "IQ4_NL_4_4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

impl GgmlType {
    /// The type with `id`, or the name of the type that is not read (`None` in `Err` if the id is
    /// unknown altogether).
    pub fn from_id(id: u32) -> Result<Self, Option<&'static str>> {
        match READABLE.iter().find(|row| row.0 == id) {
            Some(row) => Ok(row.1),
            None => Err(UNREADABLE.iter().find(|row| row.0 == id).map(|row| row.1)),
        }
    }

    /// The names of all readable types, for messages.
    pub fn accepted_names() -> Vec<&'static str> {
        READABLE.iter().map(|row| row.2).collect()
    }

    fn row(self) -> &'static (u32, GgmlType, &'static str, usize, usize) {
        READABLE.iter().find(|row| row.1 == self).expect("every variant has a row")
    }

    /// The id in a GGUF file.
    pub fn id(self) -> u32 {
        self.row().0
    }

    /// Elements of one block; a row holds whole blocks.
    pub fn block_len(self) -> usize {
        self.row().3
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> usize {
        self.row().4
    }

    /// Bytes of a row of `cols` elements; `cols` is a multiple of `block_len`.
    pub fn row_bytes(self, cols: usize) -> usize {
        cols / self.block_len() * self.block_bytes()
    }
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_unreadable_types_are_named() {
        for id in 0..64 {
            match GgmlType::from_id(id) {
                Ok(ty) => assert_eq!(ty.id(), id),
                Err(name) => assert_ne!(name, Some("")),
            }
        }
        assert_eq!(GgmlType::from_id(16), Err(Some("IQ2_XXS")));
        assert_eq!(GgmlType::from_id(9999), Err(None));
        assert_eq!(GgmlType::Q4_K.row_bytes(512), 288);
    }
}
