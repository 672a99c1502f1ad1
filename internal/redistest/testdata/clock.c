/* A wall clock that a test can move. The library is preloaded into redis-server, and adds to every reading of the wall
 * clock the milliseconds that the file REDISTEST_CLOCK holds, eight bytes. Other clocks are left alone. It calls the
 * kernel itself and allocates nothing, because Redis's allocator asks for the time while it starts. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *shift; /* milliseconds, in memory that is shared with the test */
static int64_t none;

static int64_t shift_millis(void) {
	if (!shift) {
		const char *path = getenv("REDISTEST_CLOCK");
		int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
		if (fd >= 0)
			close(fd);
		shift = page == MAP_FAILED ? &none : page;
	}
	return *shift;
}

int clock_gettime(clockid_t id, struct timespec *now) {
	int result = syscall(SYS_clock_gettime, id, now);
	if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
		int64_t millis = shift_millis();
		now->tv_sec += millis / 1000;
		now->tv_nsec += millis % 1000 * 1000000;
		if (now->tv_nsec >= 1000000000) {
			now->tv_sec++;
			now->tv_nsec -= 1000000000;
		} else if (now->tv_nsec < 0) {
			now->tv_sec--;
			now->tv_nsec += 1000000000;
		}
	}
	return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
	struct timespec precise;
	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
		return -1;
	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out) {
	struct timespec precise;
	clock_gettime(CLOCK_REALTIME, &precise);
	if (out)
		*out = precise.tv_sec;
	return precise.tv_sec;
}
