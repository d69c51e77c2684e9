//! The quantised element formats of MLX checkpoints.

/// Bits of one code of MLX's affine mode: `w = q * scale + bias`, q unsigned.
///
/// A packed row is one little-endian bit stream, least significant bit first: element `i` is bits
/// `i*b .. (i+1)*b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AffineBits(u8);

impl AffineBits {
    /// The widths MLX writes.
    pub const ACCEPTED: [u8; 6] = [2, 3, 4, 5, 6, 8];

    /// `bits` as a width, or `None` if MLX has no such width.
    pub fn new(bits: u64) -> Option<Self> {
        let bits = u8::try_from(bits).ok()?;
        Self::ACCEPTED.contains(&bits).then_some(Self(bits))
    }

    /// The width as a number.
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    /// Bytes of a packed row of `cols` elements; `cols` is a multiple of 32, so rows end on whole
    /// 32-bit words.
    pub const fn row_bytes(self, cols: usize) -> usize {
        cols / 8 * self.get()
    }
}

/// MLX's floating-point quantisation modes. Scales are one byte a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FpFormat {
    /// E2M1 codes in groups of 32 with E8M0 scales (OCP MX v1.0).
    Mxfp4,
    /// E4M3 codes in groups of 32 with E8M0 scales (OCP MX v1.0).
    Mxfp8,
    /// E2M1 codes in groups of 16 with E4M3 scales, and optionally one f32 scale a tensor.
    Nvfp4,
}

impl FpFormat {
    /// Elements that share a scale.
    pub const fn group(self) -> usize {
        match self {
            Self::Mxfp4 | Self::Mxfp8 => 32,
            Self::Nvfp4 => 16,
        }
    }

    /// Bits of one code.
    pub const fn bits(self) -> usize {
        match self {
            Self::Mxfp4 | Self::Nvfp4 => 4,
            Self::Mxfp8 => 8,
        }
    }

    /// The value of config.json's `mode`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mxfp4 => "mxfp4",
            Self::Mxfp8 => "mxfp8",
            Self::Nvfp4 => "nvfp4",
        }
    }

    /// The factor that one group's scale byte stands for.
    pub fn scale_value(self, byte: u8) -> f32 {
        match self {
            Self::Mxfp4 | Self::Mxfp8 => fp8_e8m0_value(byte),
            Self::Nvfp4 => fp8_e4m3_value(byte),
        }
    }
}

/// The value of an E2M1 code (its low four bits): sign, two exponent bits, one mantissa bit.
pub const fn fp4_value(code: u8) -> f32 {
    const MAGNITUDE: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let magnitude = MAGNITUDE[(code & 7) as usize];
    if code & 8 == 0 { magnitude } else { -magnitude }
}

/// The value of an E4M3 byte (bias 7, no infinities, 0x7f and 0xff are NaN).
pub fn fp8_e4m3_value(byte: u8) -> f32 {
    let exponent = i32::from(byte >> 3 & 15);
    let mantissa = f32::from(byte & 7);
    let magnitude = match (exponent, byte & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa * 2f32.powi(-9),
        _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
    };
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The value of an E8M0 byte, `2^(byte-127)`; MLX reads 255 (NaN in OCP MX) as infinity's
/// neighbour, we keep NaN.
pub fn fp8_e8m0_value(byte: u8) -> f32 {
    match byte {
        // 2^-127 is denormal: its only mantissa bit is the second highest.
        0 => f32::from_bits(0x0040_0000),
        255 => f32::NAN,
        _ => f32::from_bits(u32::from(byte) << 23),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mlx_widths_are_accepted() {
        let accepted: Vec<u64> = (0..=300).filter(|&b| AffineBits::new(b).is_some()).collect();
        assert_eq!(accepted, [2, 3, 4, 5, 6, 8]);
        assert_eq!(AffineBits::new(3).unwrap().row_bytes(64), 24);
    }

    #[test]
    fn small_floats_have_their_published_values() {
        assert_eq!(fp4_value(7), 6.0);
        assert_eq!(fp4_value(9), -0.5);
        assert_eq!(fp8_e4m3_value(0x7e), 448.0);
        assert_eq!(fp8_e4m3_value(0x01), 2f32.powi(-9));
        assert!(fp8_e4m3_value(0xff).is_nan());
        assert_eq!(fp8_e8m0_value(0), 2f32.powi(-127));
        assert_eq!(fp8_e8m0_value(127), 1.0);
        assert_eq!(fp8_e8m0_value(254), 2f32.powi(127));
    }
}
