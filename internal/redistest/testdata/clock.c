/* A clock of its own for one process: preloaded, it adds an offset to the wall clock. The offset, microseconds in a native 64-bit
 * integer, lies in the file that REDISTEST_CLOCK names, and may change at any time. The monotonic clock is left alone, as it is
 * when somebody sets the clock of a machine. Nothing here allocates, since allocators ask for the time as well. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset;

__attribute__((constructor)) static void open_clock(void) {
	const char *path = getenv("REDISTEST_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0) return;
	void *map = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED) offset = map;
}

int clock_gettime(clockid_t clock, struct timespec *ts) {
	long failed = syscall(SYS_clock_gettime, clock, ts);
	if (failed || !offset || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return (int)failed;
	int64_t nanos = ts->tv_nsec + *offset % 1000000 * 1000;
	ts->tv_sec += *offset / 1000000;
	if (nanos < 0) nanos += 1000000000, ts->tv_sec--;
	if (nanos >= 1000000000) nanos -= 1000000000, ts->tv_sec++;
	ts->tv_nsec = nanos;
	return 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone) {
	struct timespec ts;
	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &ts)) return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out) {
	struct timespec ts;
	if (clock_gettime(CLOCK_REALTIME, &ts)) return (time_t)-1;
	if (out) *out = ts.tv_sec;
	return ts.tv_sec;
}
