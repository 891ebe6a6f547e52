/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control_socket.h"

static char directory[64], path[108];
static struct sw_control_socket server;

static int set_up(void **state)
{
	(void)state;
	test_directory(directory, sizeof(directory));
	snprintf(path, sizeof(path), "%s/" SW_SOCKET_NAME, directory);
	return sw_control_socket_open(&server, directory);
}

static int tear_down(void **state)
{
	(void)state;
	sw_control_socket_close(&server);
	test_remove(directory);
	return 0;
}

static int dial(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	strcpy(to.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void say(int fd, const void *bytes, size_t length, const int *fds, unsigned int fd_count)
{
	union {
		char bytes[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr alignment;
	} control;
	struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (fd_count) {
		memset(&control, 0, sizeof(control));
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &message, MSG_NOSIGNAL), length);
}

static struct sw_request request(enum sw_request_kind kind)
{
	return (struct sw_request){.version = SW_MESSAGE_VERSION, .kind = kind, .service_slot = SW_NONE};
}

/* 1: a reply, 0: nothing yet, -1: hung up. */
static int listen_to(int fd, struct sw_reply *reply)
{
	const ssize_t got = recv(fd, reply, sizeof(*reply), MSG_DONTWAIT);
	if (got == (ssize_t)sizeof(*reply))
		return 1;
	return got < 0 && errno == EAGAIN ? 0 : -1;
}

static unsigned int open_descriptors(void)
{
	unsigned int count = 0;
	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void test_socket_is_for_its_owner_alone(void **state)
{
	(void)state;
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_question_and_answer(void **state)
{
	(void)state;
	struct sw_incoming in;
	struct sw_reply reply;
	const struct sw_request hello = request(SW_REQUEST_HELLO);
	const int fd = dial();
	assert_false(sw_control_socket_next(&server, &in));
	say(fd, &hello, sizeof(hello), NULL, 0);
	assert_true(sw_control_socket_next(&server, &in));
	assert_int_equal(in.request.kind, SW_REQUEST_HELLO);
	assert_int_equal(in.memfd, -1);
	reply = (struct sw_reply){.status = SW_REPLY_OK, .generation = 77};
	sw_control_socket_answer(&server, &reply);
	assert_int_equal(listen_to(fd, &reply), 1);
	assert_int_equal(reply.version, SW_MESSAGE_VERSION);
	assert_int_equal(reply.generation, 77);
	close(fd);
	assert_false(sw_control_socket_next(&server, &in));
	assert_int_equal(server.clients[0], -1);
}

static void test_one_at_a_time_in_order(void **state)
{
	(void)state;
	struct sw_incoming in;
	struct sw_reply reply;
	struct sw_request q = request(SW_REQUEST_EXPLAIN);
	const int a = dial(), b = dial();
	for (q.reserved = 1; q.reserved <= 2; q.reserved++)
		say(a, &q, sizeof(q), NULL, 0);
	say(b, &q, sizeof(q), NULL, 0);
	assert_true(sw_control_socket_next(&server, &in));
	assert_int_equal(in.request.reserved, 1);
	struct pollfd fds[SW_CLIENTS_MAX + 1];
	assert_int_equal(sw_control_socket_fds(&server, fds), 1); /* nobody is read while one is open */
	reply = (struct sw_reply){.status = SW_REPLY_OK};
	sw_control_socket_answer(&server, &reply);
	assert_int_equal(listen_to(a, &reply), 1);
	assert_int_equal(listen_to(b, &reply), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(sw_control_socket_next(&server, &in));
		reply = (struct sw_reply){.status = SW_REPLY_OK};
		sw_control_socket_answer(&server, &reply);
	}
	assert_int_equal(listen_to(a, &reply), 1);
	assert_int_equal(listen_to(b, &reply), 1);
	close(a);
	close(b);
}

/* Each of these is answered with BAD_REQUEST and a closed connection, and no descriptor stays behind. */
static void test_nonsense(void **state)
{
	(void)state;
	char bytes[2 * sizeof(struct sw_request)] = {0};
	struct sw_request good = request(SW_REQUEST_HELLO);
	int dev_null[9];
	for (size_t i = 0; i < COUNT(dev_null); i++)
		dev_null[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const unsigned int before = open_descriptors();
	for (int i = 0; i < 9; i++) {
		struct sw_request q = good;
		size_t length = sizeof(q);
		unsigned int fds = 0;
		switch (i) {
		case 0: length = 1; break;
		case 1: length = sizeof(q) - 1; break;
		case 2: length = sizeof(q) + 1; break;
		case 3: q.version = SW_MESSAGE_VERSION + 1; break;
		case 4: q.kind = SW_REQUEST_EXPLAIN + 1; break;
		case 5: q.kind = UINT32_MAX; break;
		case 6: q.kind = SW_REQUEST_PUBLISH; break; /* with nothing attached */
		case 7: fds = 1; break;                     /* HELLO with something attached */
		default: q.kind = SW_REQUEST_PUBLISH; fds = 9; break; /* more than there is room for */
		}
		memcpy(bytes, &q, sizeof(q));
		const int fd = dial();
		struct sw_incoming in;
		struct sw_reply reply;
		say(fd, bytes, length, dev_null, fds);
		assert_false(sw_control_socket_next(&server, &in));
		assert_int_equal(listen_to(fd, &reply), 1);
		assert_int_equal(reply.status, SW_REPLY_BAD_REQUEST);
		assert_int_not_equal(reply.text[0], '\0');
		assert_int_equal(listen_to(fd, &reply), -1);
		close(fd);
		assert_int_equal(open_descriptors(), before);
	}
	for (size_t i = 0; i < COUNT(dev_null); i++)
		close(dev_null[i]);
}

static void test_descriptors_arrive_and_spare_ones_are_closed(void **state)
{
	(void)state;
	const struct sw_request q = request(SW_REQUEST_PUBLISH);
	const int sent[3] = {0, 1, 2};
	struct sw_incoming in;
	const int fd = dial();
	say(fd, &q, sizeof(q), sent, 3);
	const unsigned int before = open_descriptors();
	assert_true(sw_control_socket_next(&server, &in));
	assert_true(in.memfd >= 0);
	assert_int_equal(open_descriptors(), before + 2); /* the connection and one of three */
	assert_true(fcntl(in.memfd, F_GETFD) & FD_CLOEXEC);
	close(in.memfd);
	close(fd);
}

static void test_many_clients(void **state)
{
	(void)state;
	int fds[SW_CLIENTS_MAX + 4];
	struct sw_incoming in;
	struct sw_reply reply;
	const struct sw_request hello = request(SW_REQUEST_HELLO);
	for (size_t i = 0; i < COUNT(fds); i++) {
		if (i == SW_CLIENTS_MAX) /* makes room in the backlog for those that have to wait */
			assert_false(sw_control_socket_next(&server, &in));
		fds[i] = dial();
	}
	for (size_t i = 0; i < COUNT(fds); i++)
		say(fds[i], &hello, sizeof(hello), NULL, 0);
	unsigned int answered = 0;
	while (sw_control_socket_next(&server, &in)) {
		reply = (struct sw_reply){.status = SW_REPLY_OK};
		sw_control_socket_answer(&server, &reply);
		answered++;
	}
	assert_int_equal(answered, SW_CLIENTS_MAX);
	close(fds[3]); /* a place falls free, one that waited gets it */
	while (sw_control_socket_next(&server, &in)) {
		reply = (struct sw_reply){.status = SW_REPLY_OK};
		sw_control_socket_answer(&server, &reply);
		answered++;
	}
	while (sw_control_socket_next(&server, &in)) {
		reply = (struct sw_reply){.status = SW_REPLY_OK};
		sw_control_socket_answer(&server, &reply);
		answered++;
	}
	assert_int_equal(answered, SW_CLIENTS_MAX + 1);
	for (size_t i = 0; i < COUNT(fds); i++)
		if (i != 3)
			close(fds[i]);
}

static void test_client_that_left_before_its_answer(void **state)
{
	(void)state;
	const struct sw_request hello = request(SW_REQUEST_HELLO);
	struct sw_incoming in;
	struct sw_reply reply = {.status = SW_REPLY_OK};
	const int fd = dial();
	say(fd, &hello, sizeof(hello), NULL, 0);
	assert_true(sw_control_socket_next(&server, &in));
	close(fd);
	sw_control_socket_answer(&server, &reply); /* no SIGPIPE */
	assert_int_equal(server.busy, -1);
	sw_control_socket_answer(&server, &reply); /* nothing open: nothing happens */
}

static void test_path_too_long(void **state)
{
	(void)state;
	struct sw_control_socket s;
	char deep[200];
	memset(deep, 'x', sizeof(deep));
	deep[0] = '/';
	deep[199] = '\0';
	assert_int_equal(sw_control_socket_open(&s, deep), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_socket_is_for_its_owner_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_question_and_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_at_a_time_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nonsense, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_descriptors_arrive_and_spare_ones_are_closed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_clients, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_client_that_left_before_its_answer, set_up, tear_down),
		cmocka_unit_test(test_path_too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
