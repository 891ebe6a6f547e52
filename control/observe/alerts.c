/* SPDX-License-Identifier: BSD-3-Clause */
#include "alerts.h"

/* NULL: no room for another code, which cannot happen while health knows fewer than SW_ALERTS_MAX. */
static struct sw_alert *alert_of(struct sw_alerts *a, const char *code)
{
	for (uint32_t i = 0; i < a->count; i++)
		if (!strcmp(a->alerts[i].code, code))
			return &a->alerts[i];
	if (a->count == SW_ALERTS_MAX)
		return NULL;
	struct sw_alert *alert = &a->alerts[a->count++];
	*alert = (struct sw_alert){.code = code};
	return alert;
}

/* The finding is there now. */
static void come(struct sw_alerts *a, const struct sw_finding *f, uint64_t mono_ns, sw_alert_say say, void *context)
{
	struct sw_alert *alert = alert_of(a, f->code);
	if (!alert)
		return;
	const bool quiet_enough = !alert->said_ns || mono_ns - alert->said_ns >= SW_ALERT_QUIET_NS;
	alert->present = true;
	alert->seen_ns = mono_ns;
	if (alert->said || !quiet_enough)
		return;
	alert->said = true;
	alert->said_ns = mono_ns;
	say(context, f, false);
}

void sw_alerts_update(
    struct sw_alerts *a, const struct sw_health *health, uint64_t mono_ns, sw_alert_say say, void *context)
{
	for (uint32_t i = 0; i < a->count; i++)
		a->alerts[i].present = false;
	for (uint32_t i = 0; i < health->count; i++)
		come(a, &health->findings[i], mono_ns, say, context);
	for (uint32_t i = 0; i < a->count; i++) {
		struct sw_alert *alert = &a->alerts[i];
		if (alert->present || !alert->said || mono_ns - alert->seen_ns < SW_ALERT_CLEAR_NS)
			continue;
		const struct sw_finding gone = {.severity = SW_HEALTH_OK, .code = alert->code, .hint = ""};
		alert->said = false;
		say(context, &gone, true);
	}
}
