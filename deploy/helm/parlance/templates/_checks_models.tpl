{{/* An engine's shape, and the names that models and clusters take. */}}

{{/* dict "about" … "at" "fleet.models[0].engine" "id" … "entry" … "known" <facts of the catalogue model, or none>. */}}
{{- define "parlance.checkEngine" -}}
{{- $out := .about.out -}}
{{- $checks := .about.checks -}}
{{- $card := default dict .entry.card -}}
{{- $engine := mergeOverwrite (deepCopy .about.facts.engine) (deepCopy .entry.engine) -}}
{{- $r := $engine.replicas -}}
{{- if or (lt $r.initial $r.min) (gt $r.initial $r.max) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.replicas" .at) "is" "" "must" (printf "initial (%d) must lie between min (%d) and max (%d), ends included" (int $r.initial) (int $r.min) (int $r.max))) -}}
{{- end -}}
{{- if and (not .about.root.Values.autoscaler.enabled) (eq (int $r.initial) 0) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.replicas.initial" .at) "is" "0" "must" "with autoscaler.enabled false nobody would ever start a replica: at least 1, or autoscaler.enabled true") -}}
{{- end -}}
{{- range $flag := keys (default dict $engine.flags) | sortAlpha -}}
{{- if or (hasPrefix "-" $flag) (contains "_" $flag) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.flags" $.at) "is" (quote $flag) "must" "write the flag as vLLM's help does, without dashes in front: seed, max-num-seqs") -}}
{{- else if hasKey $checks.reservedFlags $flag -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.flags" $.at) "is" (quote $flag) "must" (printf "the flag follows from %s: set it there" (get $checks.reservedFlags $flag))) -}}
{{- end -}}
{{- end -}}
{{- $context := default (get (default dict .known) "contextTokens") $card.context_tokens -}}
{{- if and $context $engine.max_model_len (gt (int64 $engine.max_model_len) (int64 $context)) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.max_model_len" .at) "is" (toJson (int64 $engine.max_model_len)) "must" (printf "it must be at most %d, the context of %s" (int64 $context) .id)) -}}
{{- end -}}
{{- $tiny := eq (toString $engine.weights) "tiny" -}}
{{- /* An architecture of the fleet's own is reckoned with by the gateway and the engine, which know how. */}}
{{- $shape := dict -}}
{{- if and .known (not $card.architecture) -}}{{- $shape = ternary $checks.tiny (get $checks.models .entry.use) $tiny -}}{{- end -}}
{{- $split := true -}}
{{- if $shape.even -}}
{{- if not (has $engine.tensor_parallel $shape.even) -}}
{{- $split = false -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.tensor_parallel" .at) "is" (toJson $engine.tensor_parallel) "must" (printf "it must split the heads and layers of %s evenly: one of %s" .id (join ", " $shape.even))) -}}
{{- end -}}
{{- if gt (int $engine.pipeline_parallel) (int $shape.layers) -}}
{{- $split = false -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.pipeline_parallel" .at) "is" (toJson $engine.pipeline_parallel) "must" (printf "it must be at most %d, the model's layers" (int $shape.layers))) -}}
{{- end -}}
{{- end -}}
{{- $about := dict "out" $out "checks" $checks "at" .at "id" .id "engine" $engine "shape" $shape "context" $context "use" .entry.use "tiny" $tiny "gpus" .about.facts.gpus -}}
{{- if eq (toString $engine.device) "cpu" -}}
{{- include "parlance.checkOnCpu" $about -}}
{{- else if not (has (default "" $engine.gpu) .about.facts.gpus) -}}
{{- $is := "" -}}{{- $near := "" -}}
{{- with $engine.gpu -}}{{- $is = quote . -}}{{- $near = include "parlance.nearest" (dict "name" . "known" $.about.facts.gpus) -}}{{- end -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.gpu" .at) "is" $is "must" (printf "%s needs a GPU model here, %sone of %s; on CPUs give `device: cpu`" .id $near (join ", " .about.facts.gpus))) -}}
{{- else -}}
{{- include "parlance.checkOnGpu" (mergeOverwrite (dict "split" $split) $about) -}}
{{- end -}}
{{- end -}}

{{/* The KV cache of an engine on CPUs is what the fleet says: it must hold one full context. */}}
{{- define "parlance.checkOnCpu" -}}
{{- $engine := .engine -}}
{{- if eq (toString $engine.quantization) "fp8" -}}
{{- include "parlance.problem" (dict "out" .out "at" (printf "%s.quantization" .at) "is" "\"fp8\"" "must" "it needs `device: gpu`: leave it out on cpu") -}}
{{- end -}}
{{- $needed := 1 -}}
{{- if and .shape.layers .context (eq (int $engine.pipeline_parallel) 1) -}}
{{- $bytes := ternary 1 (get .checks.dtypeBytes $engine.dtype | int) (eq (toString $engine.kv_cache_dtype) "fp8") -}}
{{- $tokens := min (int64 .context) (int64 (default .context $engine.max_model_len)) -}}
{{- $heads := max 1 (div (int .shape.kvHeads) (int $engine.tensor_parallel)) -}}
{{- $needed = mul 2 (int .shape.layers) $heads (int .shape.headDim) $bytes $tokens -}}
{{- end -}}
{{- if lt (int64 (default 0 $engine.kv_cache_bytes)) $needed -}}
{{- $is := "" -}}{{- with $engine.kv_cache_bytes -}}{{- $is = toJson (int64 .) -}}{{- end -}}
{{- include "parlance.problem" (dict "out" .out "at" (printf "%s.kv_cache_bytes" .at) "is" $is "must" (printf "on cpu %s needs at least %d bytes a worker, for one context; a shorter `max_model_len` needs less" .id $needed)) -}}
{{- end -}}
{{- end -}}

{{/* Weights and one context on the GPUs of one node. Only what surely does not fit is refused: settings that the room of
     files/checks.json was not reckoned with are left to the engine's own check. */}}
{{- define "parlance.checkOnGpu" -}}
{{- $engine := .engine -}}
{{- $able := has $engine.gpu .checks.fp8 -}}
{{- $asked := dict "quantization" $engine.quantization "kv_cache_dtype" $engine.kv_cache_dtype -}}
{{- range $field, $wanted := $asked -}}
{{- if and (eq (toString $wanted) "fp8") (not $able) -}}
{{- include "parlance.problem" (dict "out" $.out "at" (printf "%s.%s" $.at $field) "is" "\"fp8\"" "must" (printf "%s has no FP8 units; these have: %s" $engine.gpu (join ", " $.checks.fp8))) -}}
{{- end -}}
{{- end -}}
{{- $stored := ternary "fp8" "bfloat16" (eq (toString $engine.quantization) "fp8") -}}
{{- $rooms := get (default dict (get (default dict .shape.rooms) $engine.gpu)) $stored -}}
{{- $flags := default dict $engine.flags -}}
{{- $usual := and (le $engine.gpu_memory_utilization 0.9) (eq (int $engine.pipeline_parallel) 1) (ne (toString $engine.dtype) "float32") (eq (toString $engine.kv_cache_dtype) "auto") (not $engine.kv_cache_bytes) -}}
{{- range $flag := list "max-num-batched-tokens" "max-num-seqs" "enforce-eager" -}}
{{- if hasKey $flags $flag -}}{{- $usual = false -}}{{- end -}}
{{- end -}}
{{- if and $usual .split .shape.rooms .context (kindIs "map" $rooms) -}}
{{- $wanted := min (int64 .context) (int64 (default .context $engine.max_model_len)) -}}
{{- $room := int64 (default 0 (get $rooms (toString $engine.tensor_parallel))) -}}
{{- $degree := int $engine.tensor_parallel -}}
{{- if and (le $degree 8) (lt $room $wanted) -}}
{{- $ways := list -}}
{{- range $format, $by := get .shape.rooms $engine.gpu -}}
{{- $fitting := list -}}
{{- range $other, $tokens := $by -}}
{{- if ge (int64 $tokens) $wanted -}}{{- $fitting = append $fitting $other -}}{{- end -}}
{{- end -}}
{{- if and $fitting (or (eq $format $stored) (eq $format "fp8")) -}}
{{- $ways = append $ways (printf "tensor_parallel %s%s" (join " or " $fitting) (ternary "" " with `quantization: fp8`" (eq $format $stored))) -}}
{{- end -}}
{{- end -}}
{{- if ge $room 1024 -}}
{{- $ways = append $ways (printf "max_model_len %d" (mul 256 (div $room 256))) -}}
{{- end -}}
{{- $fits := printf "it does not fit up to 8 GPUs of this kind: take a larger one" -}}
{{- if $ways -}}{{- $fits = printf "it fits with %s" (join ", or " $ways) -}}{{- end -}}
{{- include "parlance.problem" (dict "out" .out "at" (printf "%s.tensor_parallel" .at) "is" (toJson $degree) "must" (printf "%s in %s on %d x %s has no room for one context of %d tokens: %s (`parlance fleet shapes %s --context %d` lists all)" .id $stored $degree $engine.gpu $wanted $fits .use $wanted)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* One name may mean one model only. */}}
{{- define "parlance.checkModelNames" -}}
{{- $ids := dict -}}
{{- $taken := dict -}}
{{- range .entries -}}
{{- if .enabled -}}
{{- if hasKey $ids .id -}}
{{- include "parlance.problem" (dict "out" $.out "at" (printf "%s.id" .at) "is" (quote .id) "must" (printf "it is the name of %s too: give one of them another `id:`" (get $ids .id))) -}}
{{- else -}}
{{- $_ := set $ids .id .at -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (not $ids) (not .absent) -}}
{{- include "parlance.problem" (dict "out" .out "at" "fleet.models" "is" "" "must" "at least one model must be enabled") -}}
{{- end -}}
{{- $names := keys $ids | sortAlpha -}}
{{- range .entries -}}
{{- if .enabled -}}
{{- $entry := . -}}
{{- range $place, $alias := default list .entry.aliases -}}
{{- include "parlance.checkAlias" (dict "about" $ "ids" $ids "taken" $taken "alias" $alias "target" $entry.id "at" (printf "%s.aliases[%d]" $entry.at $place)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $alias, $target := (ternary .fleet.aliases dict (kindIs "map" .fleet.aliases)) -}}
{{- $at := printf "fleet.aliases.%s" $alias -}}
{{- if not (include "parlance.spoilt" (dict "out" $.out "at" $at)) -}}
{{- if and (not $.absent) (ne $target "auto") (not (hasKey $ids $target)) -}}
{{- include "parlance.problem" (dict "out" $.out "at" $at "is" (quote $target) "must" (printf "%sit must be auto or an enabled model: %s" (include "parlance.nearest" (dict "name" $target "known" $names)) (join ", " $names))) -}}
{{- else -}}
{{- include "parlance.checkAlias" (dict "about" $ "ids" $ids "taken" $taken "alias" $alias "target" $target "at" $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $reference := get (ternary .fleet.routing dict (kindIs "map" .fleet.routing)) "reference" -}}
{{- if and $reference (not .absent) -}}
{{- $chats := list -}}
{{- range .entries -}}
{{- if .enabled -}}
{{- $card := default dict .entry.card -}}
{{- $chat := get (default dict (get $.facts.catalogue (default "" .entry.use))) "chats" -}}
{{- if hasKey $card "template" -}}{{- $chat = kindIs "map" $card.template -}}{{- end -}}
{{- if $chat -}}{{- $chats = append $chats .id -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (has $reference $chats) -}}
{{- include "parlance.problem" (dict "out" .out "at" "fleet.routing.reference" "is" (quote $reference) "must" (printf "%sit must be an enabled chat model: %s" (include "parlance.nearest" (dict "name" $reference "known" $chats)) (default "there is none" (join ", " $chats)))) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "parlance.checkAlias" -}}
{{- if or (hasKey .ids .alias) (eq .alias "auto") -}}
{{- include "parlance.problem" (dict "out" .about.out "at" .at "is" (quote .alias) "must" "it is a model's name, and cannot be an alias") -}}
{{- else if and (hasKey .taken .alias) (ne (get .taken .alias) .target) -}}
{{- include "parlance.problem" (dict "out" .about.out "at" .at "is" (quote .alias) "must" (printf "it stands for %s already: take another" (get .taken .alias))) -}}
{{- else -}}
{{- $_ := set .taken .alias .target -}}
{{- end -}}
{{- end -}}
