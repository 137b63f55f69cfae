"""The truth about money: every hold and every settlement as they happen, on disk before what they cover leaves."""
