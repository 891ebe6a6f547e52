/* SPDX-License-Identifier: BSD-3-Clause */
#include "format.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

char *sw_format_count(int64_t value, char out[SW_TEXT_BYTES])
{
	static const char units[] = "GTPE";
	if (value >= 10000000000 || value <= -10000000000) {
		double v = (double)value / 1e9;
		int unit = 0;
		while (fabs(v) >= 1000 && unit < 3) {
			v /= 1000;
			unit++;
		}
		snprintf(out, SW_TEXT_BYTES, "%.2f %c", v, units[unit]);
		return out;
	}
	char digits[SW_TEXT_BYTES];
	const int n = snprintf(digits, sizeof(digits), "%lld", (long long)(value < 0 ? -value : value));
	char *to = out;
	if (value < 0)
		*to++ = '-';
	for (int i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = 0;
	return out;
}

char *sw_format_rate(double value, char out[SW_TEXT_BYTES])
{
	if (value > 0 && value < 9.95) {
		snprintf(out, SW_TEXT_BYTES, "%.1f", value);
		return out;
	}
	return sw_format_count((int64_t)(value + 0.5), out);
}

char *sw_format_bits(double bytes_per_s, char out[SW_TEXT_BYTES])
{
	static const char *const units[] = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"};
	double v = bytes_per_s * 8;
	int unit = 0;
	while (v >= 1000 && unit < 4) {
		v /= 1000;
		unit++;
	}
	snprintf(out, SW_TEXT_BYTES, v < 10 && unit ? "%.1f %s" : "%.0f %s", v, units[unit]);
	return out;
}

char *sw_format_duration(uint64_t seconds, char out[SW_TEXT_BYTES])
{
	const unsigned long long s = seconds;
	if (s < 60)
		snprintf(out, SW_TEXT_BYTES, "%llu s", s);
	else if (s < 3600)
		snprintf(out, SW_TEXT_BYTES, s % 60 ? "%llu min %llu s" : "%llu min", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, SW_TEXT_BYTES, s / 60 % 60 ? "%llu h %llu min" : "%llu h", s / 3600, s / 60 % 60);
	else
		snprintf(out, SW_TEXT_BYTES, s / 3600 % 24 ? "%llu d %llu h" : "%llu d", s / 86400, s / 3600 % 24);
	return out;
}

uint64_t sw_parse_time(const char *rfc3339)
{
	struct tm tm = {0};
	const char *rest = rfc3339 ? strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	const time_t t = rest ? timegm(&tm) : 0;
	return t > 0 ? (uint64_t)t : 0;
}

char *sw_format_time(const char *rfc3339, char out[SW_TEXT_BYTES])
{
	const time_t t = (time_t)sw_parse_time(rfc3339);
	struct tm tm;
	if (!t || !localtime_r(&t, &tm) || !strftime(out, SW_TEXT_BYTES, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(out, SW_TEXT_BYTES, "-");
	return out;
}

static uint32_t unit_seconds(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	case 'w':
		return 7 * 86400;
	default:
		return 0;
	}
}

bool sw_parse_duration(const char *text, uint32_t maximum, uint32_t *seconds)
{
	uint64_t sum = 0;
	if (!isdigit((unsigned char)*text))
		return false;
	while (*text) {
		uint64_t n = 0;
		if (!isdigit((unsigned char)*text))
			return false;
		for (; isdigit((unsigned char)*text); text++) {
			n = n * 10 + (uint64_t)(*text - '0');
			if (n > UINT32_MAX)
				return false;
		}
		const uint32_t unit = *text ? unit_seconds(*text) : 1;
		sum += n * unit;
		if (!unit || sum > maximum)
			return false;
		text += *text != 0;
	}
	*seconds = (uint32_t)sum;
	return sum > 0;
}
