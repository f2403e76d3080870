//! `Queue`, `PriorityQueue`, `LifoQueue`.

use std::rc::Rc;
use std::time::Duration;

use aioxide::testing::run;
use aioxide::{LifoQueue, PriorityQueue, Queue, QueueError, create_task, sleep, wait_for};

const ZERO: Duration = Duration::ZERO;

#[test]
fn items_come_out_in_the_order_of_the_queue() {
    let fifo = Queue::new(0);
    let lifo = LifoQueue::new(0);
    let smallest = PriorityQueue::new(0);
    for item in [2, 3, 1] {
        fifo.put_nowait(item).unwrap();
        lifo.put_nowait(item).unwrap();
        smallest.put_nowait(item).unwrap();
    }
    let take = |queue: &dyn Fn() -> i32| [queue(), queue(), queue()];
    assert_eq!(take(&|| fifo.get_nowait().unwrap()), [2, 3, 1]);
    assert_eq!(take(&|| lifo.get_nowait().unwrap()), [1, 3, 2]);
    assert_eq!(take(&|| smallest.get_nowait().unwrap()), [1, 2, 3]);
    assert!(fifo.empty() && fifo.get_nowait().is_err());
}

#[test]
fn a_full_queue_makes_who_puts_wait() {
    run(async {
        let queue = Rc::new(Queue::new(1));
        queue.put(1).await.unwrap();
        assert!(queue.full());
        assert_eq!(queue.put_nowait(2).unwrap_err().into_item(), 2);
        let putter = Rc::clone(&queue);
        let task = create_task(async move { putter.put(2).await });
        sleep(ZERO).await.unwrap();
        assert!(!task.done());
        assert_eq!(queue.get().await, Ok(1));
        assert_eq!(queue.get().await, Ok(2));
        task.await.unwrap().unwrap();
    });
}

#[test]
fn a_cancelled_put_gives_the_item_back() {
    run(async {
        let queue = Rc::new(Queue::new(1));
        queue.put(1).await.unwrap();
        let putter = Rc::clone(&queue);
        let task = create_task(async move { putter.put(2).await });
        sleep(ZERO).await.unwrap();
        task.cancel();
        let error = task.await.unwrap().unwrap_err();
        assert_eq!(error.item, 2);
        assert!(matches!(error.cause, QueueError::Cancelled(_)));
        assert_eq!(queue.qsize(), 1);
    });
}

#[test]
fn an_item_that_was_meant_for_a_cancelled_task_goes_to_the_next() {
    run(async {
        let queue = Rc::new(Queue::new(0));
        let get = |queue: &Rc<Queue<i32>>| {
            let queue = Rc::clone(queue);
            create_task(async move { queue.get().await })
        };
        let (first, second) = (get(&queue), get(&queue));
        sleep(ZERO).await.unwrap();
        queue.put_nowait(1).unwrap();
        first.cancel();
        assert!(first.await.unwrap().is_err());
        assert_eq!(second.await.unwrap(), Ok(1));
    });
}

#[test]
fn join_waits_for_all_items() {
    run(async {
        let queue = Rc::new(Queue::new(0));
        for item in 0..3 {
            queue.put_nowait(item).unwrap();
        }
        let worker = Rc::clone(&queue);
        let task = create_task(async move {
            loop {
                worker.get().await?;
                sleep(Duration::from_secs(1)).await?;
                worker.task_done().unwrap();
            }
            #[expect(unreachable_code, reason = "gives the block its type")]
            Ok::<(), QueueError>(())
        });
        queue.join().await.unwrap();
        assert!(queue.empty() && queue.task_done().is_err());
        task.cancel();
        assert!(task.await.unwrap().is_err());
    });
}

#[test]
fn a_queue_that_is_shut_down_is_emptied_first() {
    run(async {
        let queue = Rc::new(Queue::new(1));
        let getter = Rc::clone(&queue);
        let waiting = create_task(async move { (getter.get().await, getter.get().await) });
        sleep(ZERO).await.unwrap();
        queue.put(1).await.unwrap();
        queue.shutdown();
        assert!(matches!(queue.put(2).await.unwrap_err().cause, QueueError::ShutDown(_)));
        let (first, second) = waiting.await.unwrap();
        assert_eq!(first, Ok(1));
        assert!(matches!(second, Err(QueueError::ShutDown(_))));

        let queue = Rc::new(Queue::new(0));
        queue.put(1).await.unwrap();
        let joiner = Rc::clone(&queue);
        let joined = create_task(async move { joiner.join().await });
        sleep(ZERO).await.unwrap();
        assert_eq!(queue.shutdown_immediate(), [1]);
        assert!(wait_for(joined, Duration::from_secs(1)).await.is_ok());
    });
}
