/*
 * A disk that fails when a test says so. It is loaded into the real program (LD_PRELOAD) and stands between it and the C
 * library, for files in the directories that FAULTY_DISK_UNDER names; all others are left alone. What is wrong with the disk
 * stands in a file that the test writes and that is mapped here (FAULTY_DISK): see faulty_disk.rs, which builds this.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The words of the control file, in this order. A fault is an errno, HANGS, or nought. */
enum kind { WRITES, SYNCS, CHANGES, KINDS };
struct control {
    _Atomic uint64_t fault[KINDS];
    /* How many more fail, after which the fault is over; nought: all. */
    _Atomic uint64_t times[KINDS];
    /* How many have failed or hung. */
    _Atomic uint64_t met[KINDS];
    /* Bytes a second that are written; nought: as fast as it goes. */
    _Atomic uint64_t rate;
    /* One more than the bytes that are left; nought: enough. */
    _Atomic uint64_t room;
};
static const uint64_t HANGS = UINT64_MAX;

static struct control nothing, *control = &nothing;
static const char *under[8];
/* Which descriptors are open files of these directories. */
static _Atomic char ours[1 << 16];

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTY_DISK"), *directories = getenv("FAULTY_DISK_UNDER");
    if (!path || !directories) return;
    int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || mapped == MAP_FAILED) abort();
    REAL(close)(fd);
    control = mapped;
    char *each = strdup(directories), *rest = NULL;
    size_t count = 0;
    for (each = strtok_r(each, ":", &rest); each && count < 7; each = strtok_r(NULL, ":", &rest)) under[count++] = each;
}

static int concerns(const char *path) {
    for (const char **each = under; *each; each++) {
        const char *found = strstr(path, *each);
        if (found && (found[strlen(*each)] == '/' || !found[strlen(*each)])) return 1;
    }
    return 0;
}

static int is_ours(int fd) { return fd >= 0 && fd < (int)sizeof ours && ours[fd]; }

static void rest_a_moment(void) {
    struct timespec moment = {0, 1000000};
    nanosleep(&moment, NULL);
}

/* What such an operation comes to: 0, or -1 with errno. Does not return while it hangs. */
static int meet(enum kind kind) {
    uint64_t fault = control->fault[kind];
    if (!fault) return 0;
    uint64_t left = control->times[kind];
    if (left) {
        while (left && !atomic_compare_exchange_weak(&control->times[kind], &left, left - 1)) {}
        if (!left) return 0;
        if (left == 1) control->fault[kind] = 0;
    }
    control->met[kind]++;
    if (fault == HANGS) {
        while (control->fault[kind] == HANGS) rest_a_moment();
        return 0;
    }
    errno = (int)fault;
    return -1;
}

static uint64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* Waits as long as a disk of that rate takes, which does one thing after another. */
static void take_time(size_t bytes) {
    static _Atomic uint64_t busy_until;
    uint64_t rate = control->rate;
    if (!rate) return;
    uint64_t busy = busy_until, begun, end;
    do {
        begun = now() > busy ? now() : busy;
        end = begun + bytes * 1000000000u / rate;
    } while (!atomic_compare_exchange_weak(&busy_until, &busy, end));
    while (now() < end && control->rate) rest_a_moment();
    if (!control->rate) busy_until = 0;
}

/* How many of these bytes there is room for; -1 if for none. */
static ssize_t find_room(size_t bytes) {
    uint64_t room = control->room, left;
    do {
        if (!room) return (ssize_t)bytes;
        left = room - 1 < bytes ? room - 1 : bytes;
    } while (!atomic_compare_exchange_weak(&control->room, &room, room - left));
    if (left || !bytes) return (ssize_t)left;
    control->met[WRITES]++;
    errno = ENOSPC;
    return -1;
}

/* Files that are removed or cut give back what they had. */
static void give_back(off_t bytes) {
    uint64_t room = control->room;
    while (room && bytes > 0 && !atomic_compare_exchange_weak(&control->room, &room, room + (uint64_t)bytes)) {}
}

static off_t length_of(const char *path) {
    struct stat found;
    return stat(path, &found) ? 0 : found.st_size;
}

/* How many bytes are to be written, or -1. */
static ssize_t before_write(size_t bytes) {
    if (meet(WRITES)) return -1;
    take_time(bytes);
    return find_room(bytes);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    ssize_t most = is_ours(fd) ? before_write(count) : (ssize_t)count;
    return most < 0 ? -1 : REAL(write)(fd, bytes, (size_t)most);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    ssize_t most = is_ours(fd) ? before_write(count) : (ssize_t)count;
    return most < 0 ? -1 : REAL(pwrite64)(fd, bytes, (size_t)most, at);
}

/* Of several pieces, the first: whoever writes them has to write on in any case. */
ssize_t writev(int fd, const struct iovec *pieces, int count) {
    if (is_ours(fd) && count > 0) return write(fd, pieces[0].iov_base, pieces[0].iov_len);
    return REAL(writev)(fd, pieces, count);
}

int fdatasync(int fd) { return is_ours(fd) && meet(SYNCS) ? -1 : REAL(fdatasync)(fd); }

int fsync(int fd) { return is_ours(fd) && meet(SYNCS) ? -1 : REAL(fsync)(fd); }

int ftruncate64(int fd, off64_t length) {
    struct stat before;
    if (!is_ours(fd)) return REAL(ftruncate64)(fd, length);
    if (meet(CHANGES) || fstat(fd, &before)) return -1;
    int result = REAL(ftruncate64)(fd, length);
    if (!result) give_back(before.st_size - length);
    return result;
}

static int changes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT); }

#define OPEN(name)                                                                   \
    int name(const char *path, int flags, ...) {                                     \
        mode_t mode = 0;                                                             \
        if (flags & (O_CREAT | O_TMPFILE)) {                                         \
            va_list more;                                                            \
            va_start(more, flags);                                                   \
            mode = va_arg(more, mode_t);                                             \
            va_end(more);                                                            \
        }                                                                            \
        int concerned = concerns(path);                                              \
        if (concerned && changes(flags) && meet(CHANGES)) return -1;                 \
        int fd = REAL(name)(path, flags, mode);                                      \
        if (fd >= 0 && fd < (int)sizeof ours) ours[fd] = (char)concerned;            \
        return fd;                                                                   \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    if (fd >= 0 && fd < (int)sizeof ours) ours[fd] = 0;
    return REAL(close)(fd);
}

int rename(const char *from, const char *to) {
    if (!concerns(to)) return REAL(rename)(from, to);
    if (meet(CHANGES)) return -1;
    off_t replaced = length_of(to);
    int result = REAL(rename)(from, to);
    if (!result) give_back(replaced);
    return result;
}

int unlink(const char *path) {
    if (!concerns(path)) return REAL(unlink)(path);
    if (meet(CHANGES)) return -1;
    off_t removed = length_of(path);
    int result = REAL(unlink)(path);
    if (!result) give_back(removed);
    return result;
}

int mkdir(const char *path, mode_t mode) { return concerns(path) && meet(CHANGES) ? -1 : REAL(mkdir)(path, mode); }
