while (true) {
  console.log('hello');
}
