//! The judgement of tagship: jobs, settings, tags, and one planner a stage. Knows no SDK.
