{{/* A fleet that is given as text against its schema. Helm holds mappings against values.schema.json by itself; text
     reaches the templates unread. Problems are collected: a mistake is no reason to hide the next one. */}}

{{/* Notes a problem: dict "out" <dict with "problems"> "at" "fleet.models[0].id" "is" <the value as text, or ""> "must"
     <what is allowed, and the remedy>. */}}
{{- define "parlance.problem" -}}
{{- $sentence := .at -}}
{{- if .is -}}{{- $sentence = printf "%s is %s" .at .is -}}{{- end -}}
{{- $_ := set .out "problems" (append .out.problems (dict "at" .at "is" .is "must" .must "sentence" (printf "%s: %s" $sentence .must))) -}}
{{- end -}}

{{/* A value for a sentence: dict "value" … "at" …. Short, and nothing that may be a secret. */}}
{{- define "parlance.shown" -}}
{{- $field := regexReplaceAll "\\[[0-9]+\\]" .at "" | splitList "." | last -}}
{{- if and (regexMatch "(?i)key|secret|token|password|credential|^env$" $field) (not (regexMatch "_(tokens|bytes|file|env|id|ids|s)$|^tokenizer$" $field)) -}}
(not shown)
{{- else if kindIs "map" .value -}}
a mapping
{{- else if kindIs "slice" .value -}}
a list
{{- else if kindIs "invalid" .value -}}
null
{{- else if kindIs "string" .value -}}
{{- regexReplaceAll "//[^/@\\s]+@" .value "//(not shown)@" | trunc 80 | quote -}}
{{- else -}}
{{- toJson .value -}}
{{- end -}}
{{- end -}}

{{/* What a kind of value is called; empty when the value is of that type: dict "type" … "value" …. */}}
{{- define "parlance.wrongType" -}}
{{- $value := .value -}}
{{- if eq .type "string" -}}
{{- if kindIs "bool" $value -}}text; YAML reads no, n, off, yes, y and on as false and true: put the word into quotes
{{- else if not (kindIs "string" $value) -}}text; a number goes into quotes{{- end -}}
{{- else if eq .type "boolean" -}}
{{- if not (kindIs "bool" $value) -}}true or false, without quotes{{- end -}}
{{- else if eq .type "integer" -}}
{{- if not (kindIs "float64" $value) -}}a whole number, without quotes
{{- else if ne $value (floor $value) -}}a whole number{{- end -}}
{{- else if eq .type "number" -}}
{{- if not (kindIs "float64" $value) -}}a number, without quotes{{- end -}}
{{- else if eq .type "array" -}}
{{- if not (kindIs "slice" $value) -}}a list{{- end -}}
{{- else if eq .type "object" -}}
{{- if not (kindIs "map" $value) -}}a mapping{{- end -}}
{{- else if eq .type "null" -}}
{{- if not (kindIs "invalid" $value) -}}left out{{- end -}}
{{- end -}}
{{- end -}}

{{/* The sentence for a name that is not among those known: dict "name" "tensorParallel" "known" <list>. */}}
{{- define "parlance.nearest" -}}
{{- $plain := regexReplaceAll "[^a-z0-9]" (lower .name) "" -}}
{{- $best := "" -}}
{{- $least := div (add (len $plain) 2) 3 | int -}}
{{- range $known := .known -}}
{{- $other := regexReplaceAll "[^a-z0-9]" (lower $known) "" -}}
{{- if or (eq $plain $other) (and (ge (len $plain) 3) (ge $least 0) (hasPrefix $plain $other)) (eq $plain (regexReplaceAll "([a-z0-9])[a-z0-9]*_?" $known "$1")) -}}
{{- $best = $known -}}{{- $least = -1 -}}
{{- else if ge $least 1 -}}
{{- $away := include "parlance.distance" (dict "a" $plain "b" $other "most" $least) | int -}}
{{- if le $away $least -}}{{- $best = $known -}}{{- $least = sub $away 1 | int -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- with $best -}}did you mean {{ . }}? {{ end -}}
{{- end -}}

{{/* How many letters two words are apart (Levenshtein), or more than `most`: dict "a" … "b" … "most" …. */}}
{{- define "parlance.distance" -}}
{{- $a := splitList "" .a -}}
{{- $b := splitList "" .b -}}
{{- $row := untilStep 0 (add1 (len $b) | int) 1 -}}
{{- if le (max (sub (len $a) (len $b)) (sub (len $b) (len $a))) .most -}}
{{- range $i, $x := $a -}}
{{- $above := $row -}}
{{- $row = list (add1 $i) -}}
{{- range $j, $y := $b -}}
{{- $changed := add (index $above $j) (ternary 0 1 (eq $x $y)) -}}
{{- $row = append $row (min $changed (add1 (index $above (add1 $j | int))) (add1 (last $row))) -}}
{{- end -}}
{{- end -}}
{{- last $row -}}
{{- else -}}
{{- add1 .most -}}
{{- end -}}
{{- end -}}

{{/* Walks a value along its schema: dict "out" <problems> "checks" <files/checks.json> "part" <schema> "at" … "value" …. */}}
{{- define "parlance.checkPart" -}}
{{- $value := .value -}}
{{- $part := .part -}}
{{- with get $part "$ref" -}}
{{- $part = get (get $.checks.schema "$defs") (trimPrefix "#/$defs/" .) -}}
{{- end -}}
{{- $wrong := "" -}}
{{- with $part.type -}}
{{- $wrong = include "parlance.wrongType" (dict "type" . "value" $value) -}}
{{- end -}}
{{- if $wrong -}}
{{- include "parlance.problem" (dict "out" .out "at" .at "is" (include "parlance.shown" .) "must" (printf "it must be %s" $wrong)) -}}
{{- else -}}
{{- if hasKey $part "anyOf" -}}
{{- include "parlance.checkAlternatives" (dict "out" .out "checks" .checks "alternatives" $part.anyOf "at" .at "value" $value) -}}
{{- end -}}
{{- if kindIs "map" $value -}}
{{- include "parlance.checkMapping" (dict "out" .out "checks" .checks "part" $part "at" .at "value" $value) -}}
{{- else if kindIs "slice" $value -}}
{{- if and $part.minItems (lt (len $value) (int $part.minItems)) -}}
{{- include "parlance.problem" (dict "out" .out "at" .at "is" "empty" "must" (printf "it must have at least %d" (int $part.minItems))) -}}
{{- end -}}
{{- if $part.items -}}
{{- range $index, $one := $value -}}
{{- include "parlance.checkPart" (dict "out" $.out "checks" $.checks "part" $part.items "at" (printf "%s[%d]" $.at $index) "value" $one) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- include "parlance.checkWord" (dict "out" .out "checks" .checks "part" $part "at" .at "value" $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* One of several schemas must take the value. What is wrong inside the one that is of its kind is said in its place. */}}
{{- define "parlance.checkAlternatives" -}}
{{- $taken := false -}}
{{- $inside := list -}}
{{- $allowed := list -}}
{{- range $alternative := .alternatives -}}
{{- $try := dict "problems" list -}}
{{- include "parlance.checkPart" (dict "out" $try "checks" $.checks "part" $alternative "at" $.at "value" $.value) -}}
{{- if not $try.problems -}}
{{- $taken = true -}}
{{- else if ne (first $try.problems).at $.at -}}
{{- $inside = $try.problems -}}
{{- else if ne (toString $alternative.type) "null" -}}
{{- $allowed = append $allowed (trimPrefix "it must be " (first $try.problems).must) -}}
{{- end -}}
{{- end -}}
{{- if $taken -}}
{{- else if $inside -}}
{{- $_ := set .out "problems" (concat .out.problems $inside) -}}
{{- else -}}
{{- include "parlance.problem" (dict "out" .out "at" .at "is" (include "parlance.shown" .) "must" (printf "it must be %s" (join ", or " ($allowed | uniq)))) -}}
{{- end -}}
{{- end -}}

{{/* Keys of a mapping: those that are missing, those that nobody knows, and what stands below the others. */}}
{{- define "parlance.checkMapping" -}}
{{- range $key := .part.required -}}
{{- if not (hasKey $.value $key) -}}
{{- include "parlance.problem" (dict "out" $.out "at" (printf "%s.%s" $.at $key) "is" "" "must" "is required") -}}
{{- end -}}
{{- end -}}
{{- $properties := default dict .part.properties -}}
{{- $patterns := default dict .part.patternProperties -}}
{{- range $key := keys .value | sortAlpha -}}
{{- $at := printf "%s.%s" $.at $key -}}
{{- $below := get $properties $key -}}
{{- if not (hasKey $properties $key) -}}
{{- $below = dict -}}
{{- $known := false -}}
{{- range $pattern, $schema := $patterns -}}
{{- if regexMatch $pattern $key -}}{{- $known = true -}}{{- $below = $schema -}}{{- end -}}
{{- end -}}
{{- if not $known -}}
{{- $further := get $.part "additionalProperties" -}}
{{- if kindIs "map" $further -}}
{{- $below = $further -}}
{{- else if and (kindIs "bool" $further) (not $further) -}}
{{- $must := "" -}}
{{- if $patterns -}}
{{- $must = printf "the name must be %s" (get $.checks.patterns (keys $patterns | first)) -}}
{{- else -}}
{{- $must = printf "no such field; %sknown are %s" (include "parlance.nearest" (dict "name" $key "known" (keys $properties | sortAlpha))) (keys $properties | sortAlpha | join ", ") -}}
{{- end -}}
{{- if has $key (list "true" "false") -}}
{{- $must = printf "%s; YAML reads no, n, off, yes, y and on as false and true: put the name into quotes" $must -}}
{{- end -}}
{{- include "parlance.problem" (dict "out" $.out "at" $at "is" "" "must" $must) -}}
{{- $below = dict -}}
{{- end -}}
{{- with get $.part "propertyNames" -}}
{{- include "parlance.checkPart" (dict "out" $.out "checks" $.checks "part" . "at" $at "value" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $below -}}
{{- include "parlance.checkPart" (dict "out" $.out "checks" $.checks "part" $below "at" $at "value" (get $.value $key)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A word or a number: which ones are allowed, its form, its range. */}}
{{- define "parlance.checkWord" -}}
{{- $value := .value -}}
{{- $part := .part -}}
{{- $must := "" -}}
{{- if kindIs "string" $value -}}
{{- with $part.pattern -}}
{{- if not (regexMatch . $value) -}}{{- $must = default (printf "text like %s" .) (get $.checks.patterns .) -}}{{- end -}}
{{- end -}}
{{- if and $part.minLength (lt (len $value) (int $part.minLength)) -}}{{- $must = "text that is not empty" -}}{{- end -}}
{{- if and $part.maxLength (gt (len $value) (int $part.maxLength)) -}}{{- $must = printf "at most %d characters" (int $part.maxLength) -}}{{- end -}}
{{- else if kindIs "float64" $value -}}
{{- $low := true -}}
{{- $words := list -}}
{{- if hasKey $part "minimum" -}}{{- $low = ge $value $part.minimum -}}{{- $words = append $words (printf "at least %s" (toJson $part.minimum)) -}}{{- end -}}
{{- if hasKey $part "exclusiveMinimum" -}}{{- $low = gt $value $part.exclusiveMinimum -}}{{- $words = append $words (printf "more than %s" (toJson $part.exclusiveMinimum)) -}}{{- end -}}
{{- $high := true -}}
{{- if hasKey $part "maximum" -}}{{- $high = le $value $part.maximum -}}{{- $words = append $words (printf "at most %s" (toJson $part.maximum)) -}}{{- end -}}
{{- if hasKey $part "exclusiveMaximum" -}}{{- $high = lt $value $part.exclusiveMaximum -}}{{- $words = append $words (printf "less than %s" (toJson $part.exclusiveMaximum)) -}}{{- end -}}
{{- if not (and $low $high) -}}{{- $must = join " and " $words -}}{{- end -}}
{{- end -}}
{{- with $part.enum -}}
{{- if not (has $value .) -}}
{{- $must = printf "one of %s" (join ", " .) -}}
{{- with include "parlance.nearest" (dict "name" (toString $value) "known" .) -}}{{- $must = printf "%s (%s)" $must (trim .) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if hasKey $part "const" -}}
{{- if ne (toJson $value) (toJson $part.const) -}}{{- $must = toJson $part.const -}}{{- end -}}
{{- end -}}
{{- if $must -}}
{{- include "parlance.problem" (dict "out" .out "at" .at "is" (include "parlance.shown" .) "must" (printf "it must be %s" $must)) -}}
{{- end -}}
{{- end -}}
