#ifndef ISLE_CHOST_H
#define ISLE_CHOST_H

// System calls and structures that Swift's Glibc module does not offer. Header files of this folder are the
// whole of the C in Isle; each function is one call with its errno given back as a negative result.

#include "host_door.h"
#include "host_devices.h"
#include "host_files.h"
#include "host_guest.h"
#include "host_guest_affinity.h"
#include "host_idmap.h"
#include "host_misc.h"
#include "host_container.h"
#include "host_shim_epoll.h"
#include "host_shim_file.h"
#include "host_shim_process.h"
#include "host_shim_socket.h"
#include "host_shim_spawn.h"
#include "host_root.h"
#include "host_root_mount.h"
#include "host_net.h"
#include "host_cli.h"

#endif
