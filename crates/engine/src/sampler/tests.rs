//! Each sampling step against exact probabilities.

use super::*;

fn sampler(sampling: SamplingParams) -> Sampler {
    Sampler::new(&Request {
        prompt: vec![TokenId(0)],
        max_tokens: 1,
        sampling,
        stop: StopRule::Never,
        logprobs: None,
    })
}

/// The share of each token over `num` draws at successive indices.
fn shares(params: &SamplingParams, logits: &[f32], num: usize) -> Vec<f64> {
    let mut sampler = sampler(SamplingParams { seed: Some(5), ..params.clone() });
    let (mut scratch, mut counts) = (Scratch::default(), vec![0.0; logits.len()]);
    for index in 0..num {
        let choice = sampler.sample(&mut logits.to_vec(), index, &mut scratch).unwrap();
        counts[choice.token.0 as usize] += 1.0;
    }
    counts.iter().map(|count| count / num as f64).collect()
}

/// Pearson's statistic stays below what one in a million fair samplers would exceed.
#[track_caller]
fn check_distribution(params: &SamplingParams, logits: &[f32], probabilities: &[f64]) {
    const NUM: usize = 20_000;
    let shares = shares(params, logits, NUM);
    let mut statistic = 0.0;
    for (share, probability) in shares.iter().zip(probabilities) {
        if *probability == 0.0 {
            assert_eq!(*share, 0.0, "{shares:?} for {probabilities:?}");
        } else {
            statistic += NUM as f64 * (share - probability).powi(2) / probability;
        }
    }
    // Chi-squared, 4 degrees of freedom, upper tail 1e-6.
    assert!(statistic < 33.4, "{statistic}: {shares:?} for {probabilities:?}");
}

/// Logits whose softmax is 0.4, 0.1, 0.3, 0.15, 0.05.
const PROBABILITIES: [f64; 5] = [0.4, 0.1, 0.3, 0.15, 0.05];

fn logits() -> Vec<f32> {
    PROBABILITIES.iter().map(|p| (p.ln() + 3.0) as f32).collect()
}

fn normalised(weights: [f64; 5]) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

#[test]
fn plain_sampling_follows_the_softmax() {
    check_distribution(&SamplingParams::default(), &logits(), &PROBABILITIES);
}

#[test]
fn temperature_sharpens_and_flattens() {
    for temperature in [0.5, 2.0] {
        let params = SamplingParams { temperature, ..SamplingParams::default() };
        let powers = PROBABILITIES.map(|p| p.powf(1.0 / f64::from(temperature)));
        check_distribution(&params, &logits(), &normalised(powers));
    }
}

#[test]
fn top_k_keeps_the_most_likely() {
    let params = SamplingParams { top_k: 2, ..SamplingParams::default() };
    check_distribution(&params, &logits(), &normalised([0.4, 0.0, 0.3, 0.0, 0.0]));
    let params = SamplingParams { top_k: 9, ..SamplingParams::default() };
    check_distribution(&params, &logits(), &PROBABILITIES);
}

#[test]
fn top_p_keeps_the_fewest_that_reach_it() {
    let top_p = |top_p| SamplingParams { top_p, ..SamplingParams::default() };
    check_distribution(&top_p(0.75), &logits(), &normalised([0.4, 0.0, 0.3, 0.15, 0.0]));
    check_distribution(&top_p(0.65), &logits(), &normalised([0.4, 0.0, 0.3, 0.0, 0.0]));
    check_distribution(&top_p(0.0), &logits(), &[1.0, 0.0, 0.0, 0.0, 0.0]);
    // After top-k the rest is 4/7 and 3/7, and 4/7 reaches 0.5.
    let both = SamplingParams { top_k: 2, ..top_p(0.5) };
    check_distribution(&both, &logits(), &[1.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn top_p_looks_beyond_what_it_sorts_first() {
    let logits = vec![0.0; 1000];
    let params = SamplingParams { top_p: 0.25, ..SamplingParams::default() };
    let shares = shares(&params, &logits, 5000);
    let num_drawn = shares.iter().filter(|share| **share > 0.0).count();
    assert!(num_drawn > 240, "{num_drawn}");
    assert!(shares[250..].iter().all(|share| *share == 0.0), "ties go to smaller ids");
}

#[test]
fn min_p_is_relative_to_the_most_likely() {
    let params = SamplingParams { min_p: 0.3, ..SamplingParams::default() };
    check_distribution(&params, &logits(), &normalised([0.4, 0.0, 0.3, 0.15, 0.0]));
    // At temperature 2 the shares are the square roots: 0.1 is half as likely as 0.4.
    let hot = SamplingParams { temperature: 2.0, min_p: 0.45, ..SamplingParams::default() };
    let roots = [0.4_f64, 0.1, 0.3, 0.15, 0.0].map(f64::sqrt);
    check_distribution(&hot, &logits(), &normalised(roots));
}

#[test]
fn greedy_takes_the_first_of_equals() {
    let choice = sampler(SamplingParams::greedy())
        .sample(&mut [1.0, 3.0, 3.0], 0, &mut Scratch::default())
        .unwrap();
    assert_eq!(choice.token, TokenId(1));
}

#[test]
fn a_bias_forces_and_bans() {
    let bias = |value| SamplingParams {
        logit_bias: vec![(TokenId(4), value), (TokenId(99), 5.0)],
        ..SamplingParams::default()
    };
    check_distribution(&bias(100.0), &logits(), &[0.0, 0.0, 0.0, 0.0, 1.0]);
    check_distribution(&bias(-100.0), &logits(), &normalised([0.4, 0.1, 0.3, 0.15, 0.0]));
}

#[test]
fn penalties_move_a_greedy_choice() {
    let params = SamplingParams { presence_penalty: 1.0, ..SamplingParams::greedy() };
    let mut sampler = sampler(params);
    let mut scratch = Scratch::default();
    let mut choose = |i| sampler.sample(&mut [2.0, 1.5, 1.2], i, &mut scratch).unwrap();
    let chosen: Vec<u32> = (0..4).map(|i| choose(i).token.0).collect();
    assert_eq!(chosen, [0, 1, 2, 0]);
}

#[test]
fn a_tiny_temperature_is_greedy_and_a_huge_one_uniform() {
    let at = |temperature| SamplingParams { temperature, ..SamplingParams::default() };
    check_distribution(&at(1e-40), &logits(), &[1.0, 0.0, 0.0, 0.0, 0.0]);
    check_distribution(&at(1e30), &logits(), &[0.2; 5]);
}

#[test]
fn the_draw_depends_on_seed_and_index_only() {
    assert_eq!(uniform(Some(3), 5).to_bits(), uniform(Some(3), 5).to_bits());
    assert_ne!(uniform(Some(3), 5).to_bits(), uniform(Some(3), 6).to_bits());
    assert_ne!(uniform(Some(3), 5).to_bits(), uniform(Some(4), 5).to_bits());
    let mean: f64 = (0..4000).map(|i| uniform(Some(1), i)).sum::<f64>() / 4000.0;
    assert!((mean - 0.5).abs() < 0.02, "{mean}");
}

#[test]
fn logits_that_are_not_numbers_choose_nothing() {
    let mut sampler = sampler(SamplingParams::default());
    let mut scratch = Scratch::default();
    let mut found = |logits: &mut [f32]| sampler.sample(logits, 0, &mut scratch).unwrap_err();
    assert_eq!(found(&mut [0.0, f32::NAN]), BadLogits::Nan);
    assert_eq!(found(&mut [0.0, f32::INFINITY]), BadLogits::Infinite);
    assert_eq!(found(&mut [f32::NEG_INFINITY; 2]), BadLogits::Empty);
}

#[test]
fn logprobs_are_of_the_raw_logits() {
    let mut request = Request {
        prompt: vec![TokenId(0)],
        max_tokens: 1,
        sampling: SamplingParams::greedy(),
        stop: StopRule::Never,
        logprobs: Some(2),
    };
    request.sampling.logit_bias = vec![(TokenId(1), 50.0)];
    let choice = Sampler::new(&request).sample(&mut logits(), 0, &mut Scratch::default()).unwrap();
    let report = choice.logprobs.unwrap();
    assert_eq!(choice.token, TokenId(1));
    assert!((f64::from(report.chosen) - 0.1_f64.ln()).abs() < 1e-5);
    assert_eq!(report.top.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [0, 2]);
    assert!((f64::from(report.top[0].1) - 0.4_f64.ln()).abs() < 1e-5);
}
