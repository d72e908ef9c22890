/* yoke: structured concurrency across processes. All floors. */
#ifndef YOKE_H
#define YOKE_H

#include <yoke/actor.h>
#include <yoke/base.h>
#include <yoke/devx.h>
#include <yoke/ipc.h>
#include <yoke/msg.h>
#include <yoke/task.h>

#endif
