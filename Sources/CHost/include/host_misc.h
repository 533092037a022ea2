#ifndef ISLE_HOST_MISC_H
#define ISLE_HOST_MISC_H

#include <errno.h>

/// errno of the last failed call of this thread.
static inline int isle_errno(void) { return errno; }

#endif
