-- traceparent is version-trace-parent-flags, each of a fixed length (W3C Trace Context, section 3.2.2).
CREATE INDEX requests_trace ON requests (substr(traceparent, 4, 32), at) WHERE traceparent IS NOT NULL;
