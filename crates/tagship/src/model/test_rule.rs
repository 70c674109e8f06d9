//! A listener rule for test traffic, by which people reach a candidate through the real balancer.

/// A rule that carries the tag `tagship:test`: it leads to the candidate while there is one, else to what is live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestRule {
    /// Its ARN.
    pub arn: String,
    /// For people: `HTTPS:443 rule 9 (web.example.com)`.
    pub label: String,
    /// The groups that it gives weight to.
    pub groups: Vec<String>,
    /// Where people find it: `https://web.example.com with header x-tagship-test`. A header's value is never told.
    pub address: String,
    /// Whether anybody gets in.
    pub open: bool,
}

impl TestRule {
    /// Whether such conditions let anybody in: neither a header that somebody must know, nor addresses that not everybody
    /// has. `headers` has the values of each header condition, `sources` the blocks of each source condition.
    pub fn open<'a>(
        headers: impl IntoIterator<Item = &'a [String]>,
        sources: impl IntoIterator<Item = &'a [String]>,
    ) -> bool {
        let known = |values: &[String]| !values.is_empty() && values.iter().all(|value| !value.chars().all(is_wild));
        let narrow = |blocks: &[String]| !blocks.is_empty() && blocks.iter().all(|block| !block.ends_with("/0"));
        !headers.into_iter().any(known) && !sources.into_iter().any(narrow)
    }
}

fn is_wild(c: char) -> bool {
    matches!(c, '*' | '?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_open_unless_a_header_or_a_source_closes_it() {
        #[track_caller]
        fn check(headers: &[&[&str]], sources: &[&[&str]], open: bool) {
            let owned = |lists: &[&[&str]]| -> Vec<Vec<String>> {
                lists.iter().map(|list| list.iter().map(|&text| text.to_owned()).collect()).collect()
            };
            let (headers, sources) = (owned(headers), owned(sources));
            let is = TestRule::open(headers.iter().map(Vec::as_slice), sources.iter().map(Vec::as_slice));
            assert_eq!(is, open, "{headers:?} {sources:?}");
        }
        check(&[], &[], true);
        check(&[&["s3cret"]], &[], false);
        check(&[&["*"]], &[], true);
        check(&[&["s3cret", "?*"]], &[], true);
        check(&[], &[&["10.8.0.0/16"]], false);
        check(&[], &[&["0.0.0.0/0"]], true);
        check(&[], &[&["10.8.0.0/16", "::/0"]], true);
        // Conditions are joined by "and".
        check(&[&["*"]], &[&["10.8.0.0/16"]], false);
    }
}
