//! The definitions of `scalar/{elementwise,logits}.rs`, compiled for another instruction set.

/// The methods of `Elementwise`, each compiled with `$features`, which `self` must prove.
macro_rules! elementwise_methods {
    ($features:literal) => {
        $crate::elementwise::compiled::compiled_methods! { $features, elementwise,
            fn rms_norm(norm: &RmsNorm<'_>, x: &[f32], out: &mut [f32]);
            fn rms_norm_in_place(norm: &RmsNorm<'_>, x: &mut [f32]);
            fn rope(
                x: &mut [f32],
                heads: HeadShape,
                table: &RopeTable<'_>,
                pairing: RopePairing
            );
            fn gated(gate: &[f32], up: &[f32], activation: Activation, out: &mut [f32]);
            fn add_scaled(x: &mut [f32], y: &[f32], scale: f32);
            fn add_bias(x: &mut [f32], bias: &[f32]);
            fn scale(x: &mut [f32], factor: f32);
            fn softcap(x: &mut [f32], cap: f32);
        }
        $crate::elementwise::compiled::compiled_methods! { $features, logits,
            fn argmax(x: &[f32]) -> Largest;
            fn weigh(x: &[f32], max: f32, factor: f32, out: &mut [f32]);
            fn share(x: &[f32], least: f32) -> Share;
            fn indices_in(x: &[f32], range: &std::ops::Range<f32>, out: &mut [u32]) -> usize;
            fn position_above(x: &[f32], floor: f32) -> Option<usize>;
        }
    };
}

/// For each signature a method that calls the definition of the same name in `scalar::$home`.
macro_rules! compiled_methods {
    (
        $features:literal, $home:ident,
        $(fn $name:ident($($arg:ident: $kind:ty),*) $(-> $returned:ty)?;)*
    ) => {
        $(fn $name(&self, $($arg: $kind),*) $(-> $returned)? {
            #[target_feature(enable = $features)]
            fn compiled($($arg: $kind),*) $(-> $returned)? {
                $crate::scalar::$home::$name($($arg),*)
            }
            // SAFETY: `self` proves that this CPU has these features.
            unsafe { compiled($($arg),*) }
        })*
    };
}

pub(crate) use {compiled_methods, elementwise_methods};
