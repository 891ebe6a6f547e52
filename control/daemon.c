/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control daemon: start list, event loop, reverse shutdown. The loop does nothing that waits: loading, publishing
 * and serving have threads of their own.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "control.h"
#include "options.h"
#include "server/server.h"

struct daemon {
	sd_event *loop;
	struct sw_control *control;
	struct sw_server *server;
};

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	struct daemon *d = context;
	(void)source;
	(void)info;
	sw_log(LOG_NOTICE, "reloading %s", sw_control_config_path(d->control));
	sw_control_request_reload(d->control);
	return 0;
}

/* All signals of the loop are blocked before any thread starts, so that none of them is interrupted. */
static int block_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int start_loop(struct daemon *d)
{
	int result = sd_event_default(&d->loop);
	if (result >= 0)
		result = sd_event_add_signal(d->loop, NULL, SIGHUP, on_hangup, d);
	if (result >= 0) /* without a handler the loop ends with code 0 */
		result = sd_event_add_signal(d->loop, NULL, SIGTERM, NULL, NULL);
	if (result >= 0)
		result = sd_event_add_signal(d->loop, NULL, SIGINT, NULL, NULL);
	if (result >= 0)
		result = sd_event_set_watchdog(d->loop, 1);
	return result < 0 ? result : 0;
}

static int start_server(struct daemon *d)
{
	char error[256] = "";
	const struct sw_policy *policy = sw_control_policy(d->control);
	const struct sw_server_options options = {
	    .control = d->control,
	    .runtime_dir = sw_control_runtime_dir(d->control),
	    .state_dir = sw_control_state_dir(d->control),
	    .settings = &policy->spec->control,
	};
	const int result = sw_server_open(&options, &d->server, error, sizeof(error));
	if (result)
		sw_log(LOG_ERR, "server: %s", error[0] ? error : strerror(-result));
	sw_policy_release(policy);
	return result;
}

static int run(const struct sw_options *options)
{
	struct daemon d = {0};
	const struct sw_control_options control = {
	    .config_path = options->config, .runtime_dir = options->runtime_dir, .state_dir = options->state_dir};
	int code = SW_EXIT_FAILED;
	int result = block_signals();
	if (!result)
		result = start_loop(&d);
	if (result) {
		sw_log(LOG_ERR, "event loop: %s", strerror(-result));
		goto out;
	}
	result = sw_control_open(&control, &d.control);
	if (result) {
		code = result == -EINVAL ? SW_EXIT_REFUSED : SW_EXIT_FAILED;
		sw_log(LOG_ERR, "not started: %s", result == -EINVAL ? "no usable configuration" : strerror(-result));
		goto out;
	}
	if (start_server(&d))
		goto out;
	sd_notify(0, "READY=1");
	sw_log(LOG_NOTICE, "started: %s, runtime directory %s", options->config, sw_control_runtime_dir(d.control));
	result = sd_event_loop(d.loop);
	sd_notify(0, "STOPPING=1");
	code = result < 0 ? SW_EXIT_FAILED : SW_EXIT_OK;
	sw_log(LOG_NOTICE, "ending; the dataplane goes on with its policy");
out:
	sw_server_close(d.server);
	sw_control_close(d.control);
	sd_event_unref(d.loop);
	return code;
}

int main(int argc, char **argv)
{
	struct sw_options options;
	const int code = sw_options_parse(argc, argv, &options);
	if (code >= 0)
		return code;
	return sw_options_is_tool(&options) ? sw_options_run(&options) : run(&options);
}
